"""The training objective of the OOD detector (Bad-OOD 3.4)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.models.resnet import energy


class Losses(NamedTuple):
    """Scalars; `uncertainty` is None for a batch without outliers."""

    total: Tensor
    cross_entropy: Tensor
    uncertainty: Tensor | None


def uncertainty_loss(log_odds: Tensor, is_ood: Tensor) -> Tensor:
    """Binary logistic loss of phi(E), OOD positive, each class averaged by itself (Bad-OOD eq. 4).

    Args:
        log_odds: phi(E) [B].
        is_ood: mask [B] with both values in it.
    """
    return F.softplus(-log_odds[is_ood]).mean() + F.softplus(log_odds[~is_ood]).mean()


def objective(logits: Tensor, labels: Tensor, phi: Callable[[Tensor], Tensor], beta: float) -> Losses:
    """L = CE + beta * L_uncertainty (Bad-OOD eq. 5).

    Args:
        logits: of one batch of ID images and outliers [B, N].
        labels: class indices [B]; -1 for outliers.
        phi: the head, energy [B] -> log-odds [B].
        beta: weight of the uncertainty loss; without outliers in the batch it is the cross-entropy alone.
    """
    is_ood = labels < 0
    cross_entropy = F.cross_entropy(logits[~is_ood], labels[~is_ood])
    if not torch.any(is_ood):
        return Losses(cross_entropy, cross_entropy, None)
    uncertainty = uncertainty_loss(phi(energy(logits)), is_ood)
    return Losses(cross_entropy + beta * uncertainty, cross_entropy, uncertainty)
