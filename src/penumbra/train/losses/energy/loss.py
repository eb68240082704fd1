"""Cross-entropy and the logistic loss of a head on the energy (Bad-OOD eq. 5, GOOD eq. 8)."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.logits import energy
from penumbra.train.losses.energy.params import Recipe
from penumbra.train.network.images import Batch
from penumbra.train.network.loss import Loss


def uncertainty_loss(log_odds: Tensor, is_ood: Tensor, reduction: str = "sum_of_means") -> Tensor:
    """Binary logistic loss of phi(E), OOD positive (Bad-OOD eq. 4, GOOD eq. 8).

    Args:
        log_odds: phi(E) [B].
        is_ood: mask [B] with both values in it.
        reduction: sum_of_means (each expectation of the papers by itself) | mean_of_all (over ID images and outliers together, as
            the official code of GOOD: half of it for equally many).
    """
    if reduction == "mean_of_all":
        return F.softplus(torch.where(is_ood, -log_odds, log_odds)).mean()
    return F.softplus(-log_odds[is_ood]).mean() + F.softplus(log_odds[~is_ood]).mean()


def energy_losses(
    logits: Tensor, labels: Tensor, phi: Callable[[Tensor], Tensor], beta: float, reduction: str = "sum_of_means"
) -> dict[str, Tensor]:
    """L = CE + beta * L_uncertainty (Bad-OOD eq. 5; GOOD eq. 8, where beta is lambda).

    Args:
        logits: of one batch of ID images and outliers [B, N].
        labels: class indices [B]; -1 for outliers.
        phi: the head, energy [B] -> log-odds [B].
        beta: weight of the uncertainty loss.
        reduction: see `uncertainty_loss`.

    Returns:
        Scalars loss (to be minimised), cross_entropy and, with outliers in the batch, uncertainty.
    """
    is_ood = labels < 0
    cross_entropy = F.cross_entropy(logits[~is_ood], labels[~is_ood])
    if not torch.any(is_ood):
        return {"loss": cross_entropy, "cross_entropy": cross_entropy}
    uncertainty = uncertainty_loss(phi(energy(logits)), is_ood, reduction)
    return {"loss": cross_entropy + beta * uncertainty, "cross_entropy": cross_entropy, "uncertainty": uncertainty}


class EnergyLoss(Loss):
    """`energy_losses` of a network with the head phi."""

    remedies: ClassVar[dict[str, str]] = {"uncertainty": "beta"}

    @staticmethod
    def head(p: Recipe) -> dict[str, Any]:
        return {"phi_hidden": p.phi_hidden, "phi_monotone": p.phi_monotone}

    @staticmethod
    def outliers(p: Recipe, images: int) -> int:
        return max(round(p.batch_size * p.outliers_per_id), 1)

    def __call__(self, logits: Tensor, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        return energy_losses(logits, batch.labels, self.detector.phi, self.p.beta, self.p.reduction)
