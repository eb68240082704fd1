"""Images of the files that a stage reads, as a network is trained on them: decoded once into the scratch folder, read batch by batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from penumbra.artifacts.images import read_table
from penumbra.artifacts.pixels import StoredPixels, store
from penumbra.errors import PenumbraError
from penumbra.stage import Stage
from penumbra.train.inputs import RECONSTRUCTION, check_trainable, chosen, numbers


@dataclass(frozen=True)
class Images:
    """Images and their labels. Only batches of them are on the training device, so its memory does not grow with their number.

    Attributes:
        pixels: uint8 [N, H, W, 3] on the disk, or in a tensor on the CPU.
        labels: [N] on the CPU; -1 for outliers.
        sources: [N] on the CPU, where a loss asks for pairs: the number of the ID image that each is or was made from; -1 for none.
        device: where batches go.
    """

    pixels: StoredPixels | Tensor
    labels: Tensor
    sources: Tensor | None = None
    device: torch.device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: Tensor) -> "Images":
        """Some of them."""
        return replace(
            self,
            pixels=self.pixels.take(rows) if isinstance(self.pixels, StoredPixels) else self.pixels[rows],
            labels=self.labels[rows],
            sources=None if self.sources is None else self.sources[rows],
        )

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels [B, H, W, 3] and labels [B] of some of them, on the device."""
        return self.pixels[rows].to(self.device), self.labels[rows].to(self.device)


class Batch(NamedTuple):
    """ID images and then outliers.

    Attributes:
        images: [B, 3, H, W].
        labels: [B].
        paired: which outliers make a pair with the ID image at their place, bool.
        rows: [B], on the CPU: which of all ID images each is, and behind these which of all outliers.
    """

    images: Tensor
    labels: Tensor
    paired: Tensor | None
    rows: Tensor | None = None


def labelled(stage: Stage, name: str, device: torch.device) -> Images:
    """All images of a file, with their labels."""
    path = stage.read(name)
    return Images(store(_stored(stage, name), (path, None)), torch.from_numpy(_labels(path)), device=device)


def id_images(stage: Stage, reconstructed: bool, device: torch.device) -> Images:
    """ID images to train on; with `reconstructed`, what the autoencoder keeps of each follows them as further ID images.

    Raises:
        PenumbraError: there is no such image.
    """
    name = "images/train"
    if not reconstructed:
        images = labelled(stage, name, device)
        return replace(images, sources=torch.arange(len(images)))
    path, kept = stage.read(name), stage.read(RECONSTRUCTION)
    rows = [row for row, split in enumerate(_column(kept, "split")) if split == "train"]
    if not rows:
        raise PenumbraError(f"{kept}: holds no reconstructed training image. Put train into synthesize.control.reconstruction.splits.")
    source_ids, labels = _column(kept, "source_id"), torch.from_numpy(_labels(path))
    sources = _sources(stage, kept, [source_ids[row] or "null" for row in rows])
    pixels = store(_stored(stage, f"{name}-{RECONSTRUCTION}"), (path, None), (kept, rows))
    return Images(pixels, torch.cat([labels, labels[sources]]), torch.cat([torch.arange(len(labels)), sources]), device)


def candidates(stage: Stage, paired: bool, device: torch.device) -> Images:
    """All candidates of the method, of which a seed takes some; with `paired`, and the ID image of each.

    Raises:
        PenumbraError: some were made from test images; they make no pairs.
    """
    check_trainable(stage)
    detector, _ = chosen(stage)
    name = f"outliers/{detector.method}"
    path = stage.read(name)
    sources = _sources(stage, path, _column(path, "source_id")) if paired else None
    if sources is not None and not (sources >= 0).any():
        raise PenumbraError(f"{path}: no outlier names its ID image in source_id. Set paired of recipe {detector.recipe} to false.")
    pixels = store(_stored(stage, name), (path, None))
    return Images(pixels, torch.full((len(pixels),), -1), sources, device)


def _stored(stage: Stage, name: str) -> Path:
    return stage.scratch / "pixels" / f"{name.replace('/', '-')}.npy"


def _labels(path: Path) -> np.ndarray:
    return read_table(path, ["label"])["label"].to_numpy().copy()


def _sources(stage: Stage, path: Path, source_ids: Sequence[str | None]) -> Tensor:
    return torch.tensor(numbers(stage, path, source_ids))


def _column(path: Path, column: str) -> list[str | None]:
    return read_table(path, [column])[column].to_pylist()
