"""Training of one detector from one seed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from penumbra.augmentation import augment
from penumbra.errors import PenumbraError
from penumbra.models.resnet import Detector, ResNet
from penumbra.noise import generator
from penumbra.seeds import derive
from penumbra.stage import Params
from penumbra.train.batches import Partners, id_batches, outlier_batches
from penumbra.train.energy_loss import energy_losses
from penumbra.train.uniform_loss import Information, uniform_losses
from penumbra.training import History, Stateful, epochs, set_learning_rate, warmup_cosine

BACKBONE = ("architecture", "width", "stem_kernel", "stem_stride", "stem_pool")
REMEDIES = {"uncertainty": "beta", "uniformity": "beta", "information": "information_weight"}  # of a loss that is not finite


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


class Batch(NamedTuple):
    """ID images and then outliers [B, 3, H, W]; labels [B]; which outliers make a pair with the ID image at their place, bool."""

    images: Tensor
    labels: Tensor
    paired: Tensor | None


@dataclass(frozen=True)
class Setting:
    """What the detectors of all training seeds share.

    Attributes:
        item: name of the detector.
        recipe: name of its recipe, and `p` its values, `train.recipes.RECIPE`.
        common_seed: the experiment's seed.
        train: ID images to train on.
        val: ID images that the accuracy is measured on.
        classes: number of ID classes.
        start: the classifier that training starts from; None: from scratch.
    """

    item: str
    recipe: str
    p: Params
    common_seed: int
    train: Images
    val: Images
    classes: int
    start: ResNet | None


def batches(train: Images, outliers: Images | None, p: Params, key: tuple[int, ...]) -> Iterator[Batch]:
    """One epoch, its random numbers a function of `key`; outliers do not change those of ID images.

    ID and outliers share each batch, and so its batch-norm statistics. In batches of their own the statistics would tell
    them apart while training, and nothing would when testing.
    """
    id_draws, outlier_draws = generator("train/id", *key), generator("train/outliers", *key)
    id_rows = id_batches(len(train), p.batch_size, id_draws)
    if outliers is None:
        for rows in id_rows:
            images, labels = _augmented(train, rows, p, id_draws)
            yield Batch(images, labels, None)
        return
    for rows, (outlier_rows, paired) in zip(id_rows, _outlier_rows(train, outliers, id_rows, p, outlier_draws), strict=True):
        parts = [_augmented(train, rows, p, id_draws), _augmented(outliers, outlier_rows, p, outlier_draws)]
        images, labels = (torch.cat(pair) for pair in zip(*parts, strict=True))
        yield Batch(images, labels, paired)


def _augmented(source: Images, rows: Tensor, p: Params, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    return augment(source.pixels, rows, p.crop_padding, p.flip, draws), source.labels[rows.to(source.labels.device)]


def _outlier_rows(
    train: Images, outliers: Images, id_rows: list[Tensor], p: Params, draws: torch.Generator
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Rows of outliers for each batch of ID images, and which of them make a pair."""
    if p.loss == "energy":
        size = max(round(p.batch_size * p.outliers_per_id), 1)
        for rows in islice(outlier_batches(len(outliers), size, draws), len(id_rows)):
            yield rows, None
    elif p.paired:
        partners = Partners(train.sources, outliers.sources)
        for rows in id_rows:
            yield partners.draw(rows, draws)
    else:
        size = len(id_rows[0])
        for rows in islice(outlier_batches(len(outliers), size, draws), len(id_rows)):
            yield rows, torch.ones(size, dtype=torch.bool)


def build(setting: Setting, seed: int) -> Detector:
    """A detector with the head that its loss asks for, fresh or with the classifier's weights.

    Raises:
        PenumbraError: the classifier is of another architecture, or has other classes.
    """
    p = setting.p
    torch.manual_seed(derive(setting.common_seed, "train", seed))
    head = {"phi_hidden": p.phi_hidden, "phi_monotone": p.phi_monotone} if p.loss == "energy" else {}
    sizes = {key: p[key] for key in BACKBONE} | {"classes": setting.classes}
    detector = Detector(**sizes, **head)
    if setting.start is not None:
        for key, value in setting.start.config.items():
            if sizes[key] != value:
                where = "images/train" if key == "classes" else f"train.recipes.{setting.recipe}"
                raise PenumbraError(
                    f"models/classifier: its {key} is {value}, and that of {where} is {sizes[key]}. "
                    f"A detector that starts from the classifier has its sizes: make them equal, or let the recipe stand "
                    "under train.recipes.scratch."
                )
        detector.load_state_dict(setting.start.state_dict(), strict=False)  # it has no phi
    return detector.to(setting.train.pixels.device)


Loss = Callable[[Tensor, Tensor, Batch], dict[str, Tensor]]  # of logits, features and the batch


def loss_of(detector: Detector, p: Params) -> tuple[Loss, dict[str, Stateful]]:
    """The recipe's loss, and by name what of it changes while training."""
    if p.loss == "energy":
        return lambda logits, features, batch: energy_losses(logits, batch.labels, detector.phi, p.beta, p.reduction), {}
    information = Information(detector.fc.in_features, p, detector.fc.weight.device)
    return (
        lambda logits, features, batch: uniform_losses(logits, features, batch.labels, batch.paired, information, p),
        information.stateful,
    )


def train_epoch(
    detector: Detector, loss: Loss, optimizer: torch.optim.Optimizer, setting: Setting, outliers: Images | None, key: tuple[int, int, int]
) -> dict[str, float]:
    """One pass over the ID images; returns the mean losses. On a GPU the network computes in bfloat16.

    Args:
        key: (experiment's seed, training seed, epoch), which determines every draw.

    Raises:
        PenumbraError: a loss is not finite.
    """
    detector.train()
    p, epoch = setting.p, key[-1]
    steps, sums = max(len(setting.train) // p.batch_size, 1), {}
    for step, batch in enumerate(batches(setting.train, outliers, p, key)):
        set_learning_rate(optimizer, p.learning_rate * warmup_cosine(epoch + step / steps, p.epochs, p.warmup_epochs))
        with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=batch.images.device.type == "cuda"):
            logits, features = detector.forward_with_features(batch.images)
        losses = loss(logits.float(), features.float(), batch)
        _check_finite(losses, setting.recipe, epoch)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.item()
    return {name: total / steps for name, total in sums.items()}


def _check_finite(losses: dict[str, Tensor], recipe: str, epoch: int) -> None:
    if torch.isfinite(losses["loss"]):
        return
    wrong = [name for name, value in losses.items() if not torch.isfinite(value) and name != "loss"] or ["loss"]
    keys = dict.fromkeys(["learning_rate", *(REMEDIES[name] for name in wrong if name in REMEDIES)])
    values = ", ".join(f"{name} is {losses[name]:g}" for name in wrong)
    raise PenumbraError(f"train.recipes.{recipe}: in epoch {epoch + 1} the loss {values}. Lower {' or '.join(keys)}.")


@torch.no_grad()
def accuracy(detector: Detector, images: Images, batch_size: int = 512) -> float:
    """Share of images whose class is predicted; leaves the detector in eval mode."""
    detector.eval()
    right = 0
    for pixels, labels in zip(images.pixels.split(batch_size), images.labels.split(batch_size), strict=True):
        right += (detector(pixels.permute(0, 3, 1, 2).float() / 255).argmax(1) == labels).sum().item()
    return right / len(images)


def train_detector(setting: Setting, seed: int, outliers: Images | None, checkpoint: Path) -> tuple[Detector, History]:
    """A detector trained by SGD with momentum, warm-up and cosine.

    Detectors of one seed and recipe start from the same weights and see ID images in the same order, so that they differ by
    their outliers.

    Args:
        seed: the training seed.
        outliers: None for a classifier without any.
        checkpoint: where an unfinished training waits.
    """
    p = setting.p
    detector = build(setting, seed)
    loss, changing = loss_of(detector, p)
    optimizer = torch.optim.SGD(detector.parameters(), p.learning_rate, p.momentum, weight_decay=p.weight_decay, nesterov=p.nesterov)
    history = History()
    stateful = {"detector": detector, "optimizer": optimizer, "history": history} | changing
    for epoch in epochs(p.epochs, setting.common_seed, f"train/{setting.item}/seed-{seed}", checkpoint, stateful):
        means = train_epoch(detector, loss, optimizer, setting, outliers, (setting.common_seed, seed, epoch))
        history.add(seed=seed, epoch=epoch + 1, **means, val_accuracy=accuracy(detector, setting.val))
    return detector.eval(), history
