"""Training of one perceptron from one seed, on representations (Bad-OOD, appendix I)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import torch
from torch import Tensor

from penumbra.errors import PenumbraError
from penumbra.models.classifiers.representation import Perceptron
from penumbra.noise import generator
from penumbra.seeds import derive
from penumbra.train.features import Features
from penumbra.train.losses.energy.loss import EnergyLoss, energy_losses
from penumbra.train.losses.latent.params import Recipe
from penumbra.train.network.batches import id_batches, outlier_batches
from penumbra.training import History, descend, epochs, summed, warmup_cosine

BLOCK = 512


@dataclass(frozen=True)
class Setting:
    """What the detectors of all training seeds share.

    Attributes:
        item: name of the detector.
        recipe: name of its recipe, and `p` its values, `train.recipes.RECIPE`.
        common_seed: the experiment's seed.
        train: ID images to train on, all on the device as representations are small.
        val: ID images that the accuracy is measured on.
        classes: number of ID classes.
    """

    item: str
    recipe: str
    p: Recipe
    common_seed: int
    train: Features
    val: Features
    classes: int


def batches(train: Features, outliers: Tensor, p: Recipe, key: tuple[int, ...]) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch: representations [B, D] of ID images and then of outliers, and their labels [B], -1 for outliers.

    Args:
        outliers: representations [M, D], maybe none.
        key: determines every draw; outliers do not change those of ID images.
    """
    size = EnergyLoss.outliers(p, p.batch_size)
    rows = id_batches(len(train), p.batch_size, generator("train/id", *key))
    drawn = outlier_batches(len(outliers), size, generator("train/outliers", *key)) if len(outliers) else repeat(torch.arange(0))
    for own, beside in zip(rows, drawn, strict=False):  # of outliers there is no end
        values, labels = train.values[own], train.labels[own]
        yield torch.cat([values, outliers[beside]]), torch.cat([labels, labels.new_full((len(beside),), -1)])


def train_epoch(
    head: Perceptron, optimizer: torch.optim.Optimizer, setting: Setting, outliers: Tensor, key: tuple[int, int, int]
) -> dict[str, float]:
    """One pass over the ID images; returns the mean losses.

    Args:
        key: (experiment's seed, training seed, epoch), which determines every draw.

    Raises:
        PenumbraError: a loss is not finite.
    """
    p, epoch, seen = setting.p, key[-1], []
    steps = max(len(setting.train) // p.batch_size, 1)

    def of(batch: tuple[Tensor, Tensor]) -> Tensor:
        values, labels = batch
        losses = energy_losses(head(values)[0], labels, head.phi, p.beta, p.reduction)
        seen.append({name: value.item() for name, value in losses.items()})
        if not torch.isfinite(losses["loss"]):
            where = f"train.recipes.{setting.recipe}: in epoch {epoch + 1}"
            raise PenumbraError(f"{where} the loss is {seen[-1]['loss']:g}. Lower learning_rate or beta.")
        return losses["loss"]

    def rate(step: int) -> float:
        return p.learning_rate * warmup_cosine(epoch + step / steps, p.epochs, p.warmup_epochs)

    descend(batches(setting.train, outliers, p, key), of, optimizer, rate=rate)
    return {name: summed(losses[name] for losses in seen) / steps for name in seen[0]}


@torch.no_grad()
def accuracy(head: Perceptron, images: Features) -> float:
    """Share of images whose class is predicted."""
    blocks = zip(images.values.split(BLOCK), images.labels.split(BLOCK), strict=True)
    return sum((head(values)[0].argmax(1) == labels).sum().item() for values, labels in blocks) / len(images)


def train_detector(setting: Setting, seed: int, outliers: Tensor, checkpoint: Path) -> tuple[Perceptron, History]:
    """A perceptron trained by SGD with momentum, warm-up and cosine.

    Perceptrons of one seed and recipe start from the same weights and see ID images in the same order, so that they differ by
    their outliers.

    Args:
        seed: the training seed.
        outliers: representations [M, D] on the device, maybe none.
        checkpoint: where an unfinished training waits.
    """
    p, device = setting.p, setting.train.values.device
    torch.manual_seed(derive(setting.common_seed, "train", seed))
    sizes = {"width": p.width, "depth": p.depth, "classes": setting.classes}
    head = Perceptron(setting.train.values.shape[1], **sizes, phi_hidden=p.phi_hidden, phi_monotone=p.phi_monotone).to(device)
    optimizer = torch.optim.SGD(head.parameters(), p.learning_rate, p.momentum, weight_decay=p.weight_decay)
    history = History()
    stateful = {"head": head, "optimizer": optimizer, "history": history}
    for epoch in epochs(p.epochs, setting.common_seed, f"train/{setting.item}/seed-{seed}", checkpoint, stateful):
        means = train_epoch(head, optimizer, setting, outliers, (setting.common_seed, seed, epoch))
        history.add(seed=seed, epoch=epoch + 1, **means, val_accuracy=accuracy(head, setting.val))
    return head, history
