"""Training of one CLIP detector from one seed, on features (SynOOD 3.4, 3.5)."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.errors import PenumbraError
from penumbra.models.clip_detector import ClipDetector
from penumbra.noise import generator
from penumbra.train.features import Features
from penumbra.train.losses.clip.exposure import BLOCK, Exposure, Phase
from penumbra.train.losses.clip.params import Recipe
from penumbra.training import History, descend, epochs, summed


@dataclass(frozen=True)
class Setting:
    """What the detectors of all training seeds share.

    Attributes:
        item: name of the detector.
        recipe: name of its recipe, and `p` its values, `train.recipes.RECIPE`.
        common_seed: the experiment's seed.
        val: ID images that the detector is watched on, with their classes.
    """

    item: str
    recipe: str
    p: Recipe
    common_seed: int
    val: Features


def train_detector(
    detector: ClipDetector, setting: Setting, seed: int, images: Features, outliers: Tensor | None, checkpoint: Path
) -> tuple[ClipDetector, History]:
    """Train in place what the recipe says of a detector; ID texts and negative labels without an outlier stay as they are.

    Args:
        detector: zero-shot.
        setting: see there.
        seed: the training seed.
        images: ID images to train on, and their classes.
        outliers: raw features [N, D], of which there may be none; None where the recipe trains nothing.
        checkpoint: where unfinished phases wait: the name of the phase comes before the suffix.

    Raises:
        PenumbraError: a loss is not finite.
    """
    history = History()
    history.add(seed=seed, phase="start", epoch=0, loss=math.nan, **validate(detector, setting.val))
    if outliers is None:
        return detector, history
    exposure = Exposure(detector, setting.p, images, outliers)
    for phase in exposure.phases():
        state = phase.parts | {f"{name} optimizer": schedule.optimizer for name, schedule in phase.schedules.items()} | {"history": history}
        name, waiting = f"train/{setting.item}/seed-{seed}/{phase.name}", checkpoint.with_suffix(f".{phase.name}{checkpoint.suffix}")
        for epoch in epochs(phase.epochs, setting.common_seed, name, waiting, state):
            loss = train_epoch(phase, setting, (setting.common_seed, seed, epoch))
            exposure.write_labels()
            history.add(seed=seed, phase=phase.name, epoch=epoch + 1, loss=loss, **validate(detector, setting.val))
    exposure.write_labels()
    return detector, history


def train_epoch(phase: Phase, setting: Setting, key: tuple[int, int, int]) -> float:
    """One pass; returns the mean loss of an image. Detectors of one seed and recipe see as many images in the same order.

    Args:
        phase: what is trained.
        setting: of the detectors.
        key: (experiment's seed, training seed, epoch), which determines every draw.

    Raises:
        PenumbraError: a loss is not finite.
    """
    for schedule in phase.schedules.values():
        schedule.set_rate(key[-1], phase.epochs)

    def of(batch: Tensor) -> Tensor:
        loss = phase.loss(batch)
        if not torch.isfinite(loss):
            keys = " or ".join(f"{'project' if name == 'delta' else 'tune'}_learning_rate" for name in phase.parts)
            where = f"train.recipes.{setting.recipe}"
            raise PenumbraError(f"{where}: in epoch {key[-1] + 1} of {phase.name} the loss is {loss.item():g}. Lower {keys}.")
        return loss

    batches = torch.randperm(phase.count, generator=generator("train/clip", phase.name, *key)).split(setting.p.batch_size)
    losses = descend(batches, of, *(schedule.optimizer for schedule in phase.schedules.values()))
    return summed(loss * len(batch) for loss, batch in zip(losses, batches, strict=True)) / phase.count


@torch.no_grad()
def validate(detector: ClipDetector, images: Features) -> dict[str, float]:
    """Of ID images: val_loss, the cross-entropy over ID and all negative labels, and val_accuracy among the ID labels alone."""
    loss, right, classes = 0.0, 0, len(detector.texts)
    for features, labels in zip(images.values.split(BLOCK), images.labels.split(BLOCK), strict=True):
        logits = detector.logits(features)
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        right += (logits[:, :classes].argmax(1) == labels).sum().item()
    return {"val_loss": loss / len(images), "val_accuracy": right / len(images)}
