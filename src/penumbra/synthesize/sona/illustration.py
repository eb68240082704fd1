"""What a report shows of an edited image: its masks and the way that it took (SONA Fig. 4)."""

from collections.abc import Callable, Collection

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.images import encode
from penumbra.guidance.semantic import Masks

FRAMES = 6  # of the path, at most
COLUMNS = ("remove", "keep", "add")  # of the masks, as in Fig. 4 (c), (d), (f)


def mask_steps(stop: int) -> list[int]:
    """The first, middle and last of `stop` executed steps; fewer where they are the same."""
    return sorted({0, (stop - 1) // 2, stop - 1})


def path_steps(stop: int) -> list[int]:
    """At most FRAMES of `stop` executed steps, evenly spaced from the first to the last."""
    return sorted({round(position) for position in np.linspace(0, stop - 1, FRAMES)})


class Film:
    """Records the steps that are shown of some rows of a batch.

    Args:
        rows: the rows that are shown.
        stops: executed steps of every row.
    """

    def __init__(self, rows: Collection[int], stops: Tensor):
        self._stops = {row: int(stops[row]) for row in rows if stops[row] > 0}
        self._clean: dict[int, list[Tensor]] = {row: [] for row in self._stops}
        self._masks: dict[int, list[Masks]] = {row: [] for row in self._stops}

    def __call__(self, step: int, rows: Tensor, clean: Tensor, masks: Masks) -> None:
        """Keep what is shown of a step: see `penumbra.guidance.partial.Record`."""
        for place, row in enumerate(rows.tolist()):
            if row not in self._stops:
                continue
            if step in path_steps(self._stops[row]):
                self._clean[row].append(clean[place])
            if masks and step in mask_steps(self._stops[row]):
                self._masks[row].append({name: mask[place] for name, mask in masks.items()})

    def masks(self, row: int, size: int) -> bytes | None:
        """PNG of the masks: a row of tiles for each of `mask_steps`, a tile for each term that is on, in the order of COLUMNS.

        A pixel is as bright as the share of channels that its mask holds. None if nothing was masked.
        """
        if not self._masks.get(row):
            return None
        return encode(np.concatenate([_tiles([masks[name] for name in COLUMNS if name in masks], size) for masks in self._masks[row]]))

    def path(self, row: int, pixels: Callable[[Tensor], np.ndarray]) -> bytes | None:
        """PNG of the predicted clean images at `path_steps`, side by side; None if no step was taken.

        Args:
            row: of the batch.
            pixels: uint8 [N, S, S, 3] of latents [N, C, h, w].
        """
        if not self._clean.get(row):
            return None
        return encode(np.concatenate(pixels(torch.stack(self._clean[row])), axis=1))


def _tiles(masks: list[Tensor], size: int) -> np.ndarray:
    """uint8 [size, N * size, 3] of masks [C, h, w]."""
    shares = torch.stack([mask.float().mean(0) for mask in masks])
    tiles = (F.interpolate(shares[:, None], (size, size), mode="nearest")[:, 0] * 255).round().byte().cpu().numpy()
    return np.repeat(np.concatenate(tiles, axis=1)[:, :, None], 3, axis=2)
