"""Images of the files that a stage reads, as a network is trained on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from penumbra.artifacts.images import read_pixel_rows, read_pixels, read_table
from penumbra.errors import PenumbraError
from penumbra.stage import Stage
from penumbra.train.inputs import RECONSTRUCTION, check_trainable, chosen, numbers


@dataclass(frozen=True)
class Images:
    """uint8 pixels [N, H, W, 3] and labels [N] on the training device; label -1 for outliers.

    `sources` [N] on the CPU, where a loss asks for pairs: the number of the ID image that each is or was made from; -1 for none.
    """

    pixels: Tensor
    labels: Tensor
    sources: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: Tensor) -> "Images":
        """Some of them."""
        on_device = rows.to(self.labels.device)
        return Images(self.pixels[on_device], self.labels[on_device], None if self.sources is None else self.sources[rows])


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
    labels = torch.tensor(read_table(path, ["label"])["label"].to_pylist())
    return Images(torch.from_numpy(read_pixels(path)).to(device), labels.to(device))


def id_images(stage: Stage, reconstructed: bool, device: torch.device) -> Images:
    """ID images to train on; with `reconstructed`, what the autoencoder keeps of each follows them as further ID images.

    Raises:
        PenumbraError: there is no such image.
    """
    images = labelled(stage, "images/train", device)
    images = Images(images.pixels, images.labels, torch.arange(len(images)))
    if not reconstructed:
        return images
    path = stage.read(RECONSTRUCTION)
    rows = [row for row, split in enumerate(_column(path, "split")) if split == "train"]
    if not rows:
        raise PenumbraError(f"{path}: holds no reconstructed training image. Put train into synthesize.control.reconstruction.splits.")
    source_ids = _column(path, "source_id")
    sources = _sources(stage, path, [source_ids[row] or "null" for row in rows])
    pixels = torch.from_numpy(read_pixel_rows(path, rows)).to(device)
    labels = images.labels[sources.to(device)]
    return Images(torch.cat([images.pixels, pixels]), torch.cat([images.labels, labels]), torch.cat([images.sources, sources]))


def candidates(stage: Stage, paired: bool, device: torch.device) -> Images:
    """All candidates of the method, of which a seed takes some; with `paired`, and the ID image of each.

    Raises:
        PenumbraError: some were made from test images; they make no pairs.
    """
    check_trainable(stage)
    detector, _ = chosen(stage)
    path = stage.read(f"outliers/{detector.method}")
    pixels = torch.from_numpy(read_pixels(path)).to(device)
    sources = _sources(stage, path, _column(path, "source_id")) if paired else None
    if sources is not None and not (sources >= 0).any():
        raise PenumbraError(f"{path}: no outlier names its ID image in source_id. Set paired of recipe {detector.recipe} to false.")
    return Images(pixels, torch.full((len(pixels),), -1, device=device), sources)


def _sources(stage: Stage, path: Path, source_ids: Sequence[str | None]) -> Tensor:
    return torch.tensor(numbers(stage, path, source_ids))


def _column(path: Path, column: str) -> list[str | None]:
    return read_table(path, [column])[column].to_pylist()
