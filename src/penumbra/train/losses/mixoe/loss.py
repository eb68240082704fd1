"""Mixtures of ID images and outliers, with labels between one-hot and uniform (MixOE, Zhang et al. 2023)."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.models.classifiers.detector import AnyDetector
from penumbra.train.losses.mixoe.params import Recipe
from penumbra.train.losses.uniform.loss import uniformity_loss
from penumbra.train.network.images import Batch
from penumbra.train.network.loss import Loss


def soft_cross_entropy(logits: Tensor, labels: Tensor, share: float) -> Tensor:
    """Mean of -sum_k t_k log p_k, t = share * onehot(y) + (1 - share) / C, of logits [B, C] and labels y [B]."""
    return share * F.cross_entropy(logits, labels) + (1 - share) * uniformity_loss(logits)


def mixup(inside: Tensor, outside: Tensor, share: float) -> tuple[Tensor, float]:
    """share * inside + (1 - share) * outside, of images [B, C, H, W]; and the share."""
    return share * inside + (1 - share) * outside, share


def cutmix(inside: Tensor, outside: Tensor, share: float) -> tuple[Tensor, float]:
    """Images [B, C, H, W] `inside` with a rectangle of `outside`, the same one for all; and the share of pixels that are left.

    The rectangle takes 1 - share of the image, is as long and as broad as this, has its centre anywhere and ends at the border, as in
    the official code. Its place is of torch's global generator.
    """
    height, width = inside.shape[2:]
    cut = math.sqrt(1 - share)
    rows, columns = _span(height, int(height * cut)), _span(width, int(width * cut))
    mixed = inside.clone()
    mixed[:, :, rows, columns] = outside[:, :, rows, columns]
    taken = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - taken / (height * width)


def _span(size: int, length: int) -> slice:
    centre = int(torch.randint(size, ()))
    return slice(max(centre - length // 2, 0), min(centre + length // 2, size))


class MixOeLoss(Loss):
    """L = CE of ID images + beta * `soft_cross_entropy` of mixtures, lambda one number for each batch.

    The loop shows ID images and as many outliers in one batch. While the network trains, what enters it has, in the place of each
    outlier, its mixture with the ID image of the same number; no outlier is seen pure. Images enter normalised, which is affine: a
    mixture of normalised images is the normalised mixture.
    """

    p: Recipe
    remedies: ClassVar[dict[str, str]] = {"mixture": "beta"}

    def __init__(self, detector: AnyDetector, p: Recipe):
        super().__init__(detector, p)
        self.mix = {"mixup": mixup, "cutmix": cutmix}[p.mix]
        self.share = 1.0
        self.network = getattr(detector, "classifier", detector)
        self.enter = self.network.forward_normalised
        self.network.forward_normalised = self._forward

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if not self.network.training:
            return self.enter(x)
        inside, outside = x.chunk(2)
        drawn = torch.distributions.Beta(self.p.alpha, self.p.alpha).sample().item()
        mixed, self.share = self.mix(inside, outside, drawn)
        return self.enter(torch.cat([inside, mixed]))

    def __call__(self, logits: Tensor, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        is_ood = batch.labels < 0
        labels = batch.labels[~is_ood]
        cross_entropy = F.cross_entropy(logits[~is_ood], labels)
        mixture = soft_cross_entropy(logits[is_ood], labels, self.share)
        return {"loss": cross_entropy + self.p.beta * mixture, "cross_entropy": cross_entropy, "mixture": mixture}
