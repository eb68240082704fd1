"""Training of one detector from one seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path

import torch
from torch import Tensor

from penumbra.errors import PenumbraError
from penumbra.models.resnet import Detector
from penumbra.noise import generator
from penumbra.seeds import derive
from penumbra.stage import Params
from penumbra.train.batches import augment, id_batches, outlier_batches
from penumbra.train.losses import objective
from penumbra.training import History, epochs, set_learning_rate, warmup_cosine

ARCHITECTURE = ("architecture", "width", "stem_kernel", "stem_stride", "stem_pool", "phi_hidden")


@dataclass(frozen=True)
class Images:
    """uint8 pixels [N, H, W, 3] and labels [N] on the training device; label -1 for outliers."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.pixels)


def batches(train: Images, outliers: Images | None, p: Params, key: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of (images, labels), its random numbers a function of `key`; outliers do not change those of ID images.

    ID and outliers share each batch, and so its batch-norm statistics. In batches of their own the statistics would tell
    them apart while training, and nothing would when testing.
    """
    id_draws, outlier_draws = generator("train/id", *key), generator("train/outliers", *key)
    id_rows = id_batches(len(train), p.batch_size, id_draws)
    size = max(round(p.batch_size * p.outliers_per_id), 1)
    outlier_rows = outlier_batches(len(outliers), size, outlier_draws) if outliers else repeat(None)
    for id_row, outlier_row in zip(id_rows, islice(outlier_rows, len(id_rows)), strict=True):
        parts = [(train, id_row, id_draws)] + ([(outliers, outlier_row, outlier_draws)] if outliers else [])
        images = [augment(source.pixels, rows, p.crop_padding, p.flip, draws) for source, rows, draws in parts]
        yield torch.cat(images), torch.cat([source.labels[rows.to(source.labels.device)] for source, rows, _ in parts])


def train_epoch(
    detector: Detector, optimizer: torch.optim.Optimizer, train: Images, outliers: Images | None, p: Params, key: tuple[int, int, int]
) -> dict[str, float]:
    """One pass over the ID images; returns the mean losses. On a GPU the network computes in bfloat16.

    Args:
        key: (experiment's seed, training seed, epoch), which determines every draw.

    Raises:
        PenumbraError: the loss is not finite.
    """
    detector.train()
    epoch, steps, sums = key[-1], max(len(train) // p.batch_size, 1), {}
    for step, (images, labels) in enumerate(batches(train, outliers, p, key)):
        set_learning_rate(optimizer, p.learning_rate * warmup_cosine(epoch + step / steps, p.epochs, p.warmup_epochs))
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.device.type == "cuda"):
            logits = detector(images)
        losses = objective(logits.float(), labels, detector.phi, p.beta)
        if not torch.isfinite(losses.total):
            raise PenumbraError(f"train.recipes.energy: the loss is {losses.total:g} in epoch {epoch + 1}. Lower learning_rate or beta.")
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        for name, value in losses._asdict().items():
            if value is not None:
                sums[name] = sums.get(name, 0.0) + value.item()
    return {name: total / steps for name, total in sums.items()}


@torch.no_grad()
def accuracy(detector: Detector, images: Images, batch_size: int = 512) -> float:
    """Share of images whose class is predicted; leaves the detector in eval mode."""
    detector.eval()
    right = 0
    for pixels, labels in zip(images.pixels.split(batch_size), images.labels.split(batch_size), strict=True):
        right += (detector(pixels.permute(0, 3, 1, 2).float() / 255).argmax(1) == labels).sum().item()
    return right / len(images)


def train_detector(
    name: str, common_seed: int, seed: int, train: Images, val: Images, outliers: Images | None, classes: int, p: Params, checkpoint: Path
) -> tuple[Detector, History]:
    """A detector trained by SGD with momentum, warm-up and cosine.

    Detectors of one seed start from the same weights and see ID images in the same order, so that they differ by their outliers.

    Args:
        name: of the detector, for the progress bar.
        common_seed: the experiment's seed.
        seed: the training seed.
        train, val, outliers: images; `outliers` is None for a classifier without any.
        classes: number of ID classes.
        p: `train.recipes.energy`.
        checkpoint: where an unfinished training waits.
    """
    torch.manual_seed(derive(common_seed, "train", seed))
    detector = Detector(**{key: p[key] for key in ARCHITECTURE}, classes=classes)
    detector.to(train.pixels.device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(detector.parameters(), p.learning_rate, p.momentum, weight_decay=p.weight_decay)
    history = History()
    stateful = {"detector": detector, "optimizer": optimizer, "history": history}
    for epoch in epochs(p.epochs, common_seed, f"train/{name}/seed-{seed}", checkpoint, stateful):
        means = train_epoch(detector, optimizer, train, outliers, p, (common_seed, seed, epoch))
        row = {"loss": means["total"], "cross_entropy": means["cross_entropy"], "uncertainty": means.get("uncertainty")}
        history.add(seed=seed, epoch=epoch + 1, **row, val_accuracy=accuracy(detector, val))
    return detector.eval(), history
