"""What scores that run a network again are fitted on, and how they see it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.scores.base import Asked

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from penumbra.models.classifier import Classifier

BATCH = 256


@dataclass(frozen=True)
class Pictures:
    """The images of a Parquet file, batch by batch: float32 [B, 3, H, W] in [0, 1]."""

    path: str
    device: "torch.device"

    def __iter__(self) -> "Iterator[Tensor]":
        import torch

        from penumbra.artifacts.images import iter_pixels
        from penumbra.runtime import inference_batch

        for pixels in iter_pixels(self.path, inference_batch(BATCH)):
            yield torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True)
class Subject:
    """A network, and the images that a score of it may be fitted on; none is of a test set.

    Attributes:
        network: in eval mode, its parameters frozen.
        train, val: batches of ID images.
        labels: classes of the training images.
        calibration: batches of calibration OOD images.
        directory: where the network is saved, and beside it what its loss keeps for scores.
    """

    network: "Classifier"
    train: Pictures
    labels: "Tensor"
    val: Pictures
    calibration: Pictures
    directory: Path | None = None


class Rerun(Asked):
    """A score of a network's images; higher = more OOD. A subclass gives that of a batch; one that learns something does so in `learn`."""

    kinds = ("network",)
    section = "rerun.scores"

    @classmethod
    def suits(cls, directory: Path) -> bool:
        """Whether the detector that is saved there has the score."""
        return not cls.loss or (directory / cls.loss).is_dir()

    def fit(self, bank: Subject) -> None:
        """Keep the network, and learn what the score needs."""
        self.network = bank.network
        self.learn(bank)

    def learn(self, bank: Subject) -> None:
        """Most need nothing."""

    def batch(self, images: "Tensor") -> "Tensor":
        """The score [B] of images [B, 3, H, W] in [0, 1], float64."""
        raise NotImplementedError

    def __call__(self, pictures: Pictures) -> "Tensor":
        """The score [N] of N images, on the CPU."""
        import torch

        return torch.cat([self.batch(images).cpu() for images in pictures])
