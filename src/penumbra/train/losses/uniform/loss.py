"""Cross-entropy, outliers to the uniform distribution, and information of ID features about outliers (SONA 3.5)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.elementary import logsumexp
from penumbra.models.classifiers.detector import AnyDetector
from penumbra.train.losses.uniform.information import Club, club_bound, log_likelihood, outer_product
from penumbra.train.losses.uniform.params import Recipe
from penumbra.train.network.images import Batch
from penumbra.train.network.loss import Loss


def uniformity_loss(logits: Tensor) -> Tensor:
    """Cross-entropy of the uniform distribution and the softmax of outliers' logits [B, N] (Hendrycks et al. 2019)."""
    return (logsumexp(logits, 1) - logits.mean(1)).mean()


class Information:
    """The information term of one training, with the network q of CLUB and its optimiser.

    Args:
        width: of the features.
        p: a recipe of loss uniform.
        device: where q lives.
    """

    def __init__(self, width: int, p: Recipe, device: torch.device):
        self.kind, self.steps = p.information, p.club_steps
        self.stateful: dict = {}
        if self.kind == "club":
            self.club = Club(width, width, p.club_hidden).to(device)
            self.optimizer = torch.optim.Adam(self.club.parameters(), p.club_learning_rate, fused=True)
            self.stateful = {"club": self.club, "club_optimizer": self.optimizer}

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Estimate from ID features x [B, D] and outlier features y [B, D], whose rows are pairs; 0 without a pair.

        The gradient reaches both, and not q, which takes its own steps on the detached pairs before.
        """
        if self.kind == "none" or not len(x):
            return x.new_zeros(())
        if self.kind == "outer_product":
            return outer_product(x, y)
        self._fit(x.detach(), y.detach())
        self.club.requires_grad_(False)
        return club_bound(*self.club(x), y)

    def _fit(self, x: Tensor, y: Tensor) -> None:
        self.club.requires_grad_(True)
        for _ in range(self.steps):
            loss = -log_likelihood(*self.club(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


def uniform_losses(
    logits: Tensor, features: Tensor, labels: Tensor, paired: Tensor, information: Information, p: Recipe
) -> dict[str, Tensor]:
    """L = CE + beta * L_OE + information_weight * I (SONA eq. 8).

    Args:
        logits: of ID images and then outliers [B, N].
        features: before the last layer [B, D].
        labels: class indices [B]; -1 for outliers.
        paired: which outliers belong to the ID image at the same place, bool [number of outliers].
        information: estimates I.
        p: a recipe of loss uniform.

    Returns:
        Scalars loss (to be minimised), cross_entropy and, with outliers in the batch, uniformity and information.
    """
    is_ood = labels < 0
    cross_entropy = F.cross_entropy(logits[~is_ood], labels[~is_ood])
    if not torch.any(is_ood):
        return {"loss": cross_entropy, "cross_entropy": cross_entropy}
    uniformity = uniformity_loss(logits[is_ood])
    estimate = information(features[~is_ood][paired], features[is_ood][paired])
    total = cross_entropy + p.beta * uniformity + p.information_weight * estimate
    return {"loss": total, "cross_entropy": cross_entropy, "uniformity": uniformity, "information": estimate}


class UniformLoss(Loss):
    """`uniform_losses` with an estimate of information that learns beside the network."""

    remedies: ClassVar[dict[str, str]] = {"uniformity": "beta", "information": "information_weight"}

    def __init__(self, detector: AnyDetector, p: Recipe):
        super().__init__(detector, p)
        self.information = Information(detector.last_layer.in_features, p, detector.last_layer.weight.device)
        self.stateful = self.information.stateful

    @staticmethod
    def paired(p: Recipe) -> bool:
        return p.paired

    @staticmethod
    def reconstructed(p: Recipe) -> bool:
        return p.reconstructed

    def __call__(self, logits: Tensor, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        return uniform_losses(logits, features, batch.labels, batch.paired, self.information, self.p)
