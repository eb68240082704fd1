"""Images of files that a model learns from: decoded once into the scratch folder, read batch by batch."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from penumbra.artifacts.pixels import StoredPixels, store
from penumbra.stage import Stage


class Images:
    """uint8 images [N, 3, S, S] on the disk. What is taken from them as from a tensor comes to the device, channels last in memory.

    Attributes:
        shape: (N, 3, S, S).
        device: where batches go.
    """

    def __init__(self, pixels: StoredPixels, device: torch.device):
        self._pixels, self.device = pixels, device

    @property
    def shape(self) -> tuple[int, int, int, int]:
        count, height, width, channels = self._pixels.shape
        return count, channels, height, width

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Images [B, 3, S, S] of rows [B]."""
        return self._pixels[rows].to(self.device).permute(0, 3, 1, 2)

    def split(self, size: int) -> Iterator[Tensor]:
        """Batches of so many in order; the last may be smaller."""
        return (self[rows] for rows in torch.arange(len(self)).split(size))

    def take(self, rows: Tensor) -> "Images":
        """Some of them; nothing is read."""
        taken = copy.copy(self)
        taken._pixels = self._pixels.take(rows)
        return taken


def read_images(stage: Stage, device: torch.device, *names: str) -> Images:
    """The images of some files that the stage reads, of which some may be empty, as a world is."""
    path = stage.scratch / "pixels" / f"{'+'.join(name.replace('/', '-') for name in names)}.npy"
    return Images(store(path, *((stage.read(name), None) for name in names)), device)
