"""Training of one detector from one seed."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penumbra.errors import PenumbraError
from penumbra.joint import join, share, whole
from penumbra.models.classifier import Classifier
from penumbra.models.classifiers.build import SIZES
from penumbra.models.classifiers.build import build as classifier
from penumbra.models.classifiers.detector import AnyDetector, ClassifierDetector
from penumbra.models.resnet import ARCHITECTURES, Detector
from penumbra.seeds import derive
from penumbra.train.network.batches import batches
from penumbra.train.network.images import Batch, Images
from penumbra.train.network.loss import Loss
from penumbra.train.network.params import NetworkRecipe
from penumbra.training import History, ahead, descend, epochs, summed, warmup_cosine


@dataclass(frozen=True)
class Setting:
    """What the detectors of all training seeds share.

    Attributes:
        item: name of the detector.
        recipe: name of its recipe, and `p` its values, `train.recipes.RECIPE`.
        loss: the recipe's.
        common_seed: the experiment's seed.
        train: ID images to train on.
        val: ID images that the accuracy is measured on.
        classes: number of ID classes.
        start: the classifier that training starts from; None: from scratch.
    """

    item: str
    recipe: str
    p: NetworkRecipe
    loss: type[Loss]
    common_seed: int
    train: Images
    val: Images
    classes: int
    start: Classifier | None


def build(setting: Setting, seed: int) -> AnyDetector:
    """A detector with the head that its loss asks for, fresh or with the classifier's weights.

    Raises:
        PenumbraError: the classifier is of another architecture, or has other classes.
    """
    p, head = setting.p, setting.loss.head(setting.p)
    torch.manual_seed(derive(setting.common_seed, "train", seed))
    sizes = {key: p[key] for key in SIZES} | {"classes": setting.classes}
    if setting.start is not None:
        _check_start(setting, sizes)
    if p.architecture in ARCHITECTURES:
        detector = Detector(**sizes, **head)
        if setting.start is not None:
            detector.load_state_dict(setting.start.state_dict(), strict=False)  # it has no phi
    else:
        detector = ClassifierDetector.of(setting.start or classifier(p, setting.classes), **head)
    return detector.to(setting.train.device)


def _check_start(setting: Setting, sizes: dict[str, Any]) -> None:
    known = setting.start.config | {"architecture": setting.start.architecture}
    for key, size in sizes.items():
        if known.get(key) != size:
            where = "images/train" if key == "classes" else f"train.recipes.{setting.recipe}"
            raise PenumbraError(
                f"models/classifier: its {key} is {known.get(key)}, and that of {where} is {size}. "
                f"A detector that starts from the classifier has its sizes: make them equal, or let the recipe stand "
                "under train.recipes.scratch."
            )


def train_epoch(
    detector: AnyDetector,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    setting: Setting,
    outliers: Images | None,
    key: tuple[int, int, int],
) -> dict[str, float]:
    """One pass over the ID images; returns the mean losses. On a GPU the network computes in bfloat16.

    Args:
        key: (experiment's seed, training seed, epoch), which determines every draw.

    Raises:
        PenumbraError: a loss is not finite.
    """
    detector.train()
    p, epoch = setting.p, key[-1]
    steps, seen = max(len(setting.train) // p.batch_size, 1), []

    def of(batch: Batch) -> Tensor:
        with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=batch.images.device.type == "cuda"):
            logits, features = detector.forward_with_features(share(batch.images))
        losses = loss(*(whole(each.float(), len(batch.images)) for each in (logits, features)), batch)
        _check_finite(losses, loss, setting.recipe, epoch)
        seen.append({name: value.item() for name, value in losses.items()})
        return losses["loss"]

    def rate(step: int) -> float:
        return p.learning_rate * warmup_cosine(epoch + step / steps, p.epochs, p.warmup_epochs)

    descend(ahead(batches(setting.train, outliers, p, setting.loss, key)), of, optimizer, rate=rate)
    return {name: summed(losses[name] for losses in seen) / steps for name in seen[0]}


def _check_finite(losses: dict[str, Tensor], loss: Loss, recipe: str, epoch: int) -> None:
    if torch.isfinite(losses["loss"]):
        return
    wrong = [name for name, value in losses.items() if not torch.isfinite(value) and name != "loss"] or ["loss"]
    keys = dict.fromkeys(["learning_rate", *(loss.remedies[name] for name in wrong if name in loss.remedies)])
    values = ", ".join(f"{name} is {losses[name]:g}" for name in wrong)
    raise PenumbraError(f"train.recipes.{recipe}: in epoch {epoch + 1} the loss {values}. Lower {' or '.join(keys)}.")


@torch.no_grad()
def accuracy(detector: AnyDetector, images: Images, batch_size: int = 512) -> float:
    """Share of images whose class is predicted; leaves the detector in eval mode."""
    detector.eval()
    right = 0
    for rows in torch.arange(len(images)).split(batch_size):
        pixels, labels = images.batch(rows)
        right += (detector(pixels.permute(0, 3, 1, 2).float() / 255).argmax(1) == labels).sum().item()
    return right / len(images)


def train_detector(setting: Setting, seed: int, outliers: Images | None, checkpoint: Path) -> tuple[AnyDetector, History]:
    """A detector trained by SGD with momentum, warm-up and cosine; without an epoch the classifier as it is, with one row of history.

    Detectors of one seed and recipe start from the same weights and see ID images in the same order, so that they differ by
    their outliers.

    Args:
        seed: the training seed.
        outliers: None for a classifier without any.
        checkpoint: where an unfinished training waits.
    """
    p = setting.p
    detector = build(setting, seed)
    join(detector)
    loss = setting.loss(detector, p)
    optimizer = torch.optim.SGD(detector.parameters(), p.learning_rate, p.momentum, weight_decay=p.weight_decay, nesterov=p.nesterov)
    history = History()
    if not p.trains:
        history.add(seed=seed, epoch=0, loss=math.nan, val_accuracy=accuracy(detector, setting.val))
    stateful = {"detector": detector, "optimizer": optimizer, "history": history} | loss.stateful
    for epoch in epochs(p.epochs, setting.common_seed, f"train/{setting.item}/seed-{seed}", checkpoint, stateful):
        loss.look(setting.train, outliers)
        means = train_epoch(detector, loss, optimizer, setting, outliers, (setting.common_seed, seed, epoch))
        history.add(seed=seed, epoch=epoch + 1, **means, val_accuracy=accuracy(detector, setting.val))
    return detector.eval(), history
