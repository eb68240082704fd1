"""Two heads that agree on ID images and not on outliers (maximum classifier discrepancy, Yu and Aizawa 2019)."""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from penumbra.models.classifiers.detector import AnyDetector
from penumbra.models.heads import SecondHead
from penumbra.train.losses.mcd.params import Recipe
from penumbra.train.network.images import Batch
from penumbra.train.network.kept import KeptLoss


def entropy(logits: Tensor) -> Tensor:
    """H(p) [B] in nats of the softmax p of logits [B, C]."""
    log_p = logits.log_softmax(1)
    return -(log_p.exp() * log_p).sum(1)


def discrepancy(first: Tensor, second: Tensor) -> Tensor:
    """d(p_1, p_2) = H(p_1) - H(p_2) [B] of the logits of both heads [B, C]."""
    return entropy(first) - entropy(second)


class McdLoss(KeptLoss):
    """L = CE_1 + CE_2 + beta * max(m - mean d(p_1, p_2) of outliers, 0), the last from `start_epoch` on.

    The first head is the network's last layer, the second one learns beside it.
    """

    p: Recipe
    remedies: ClassVar[dict[str, str]] = {"discrepancy": "beta"}

    def __init__(self, detector: AnyDetector, p: Recipe):
        super().__init__(detector, p)
        classes, width = detector.last_layer.weight.shape
        self.kept = self.beside("second", SecondHead(width, classes))

    def __call__(self, logits: Tensor, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        epoch, p = self.begin(), self.p
        is_ood, second = batch.labels < 0, self.kept(features)
        labels = batch.labels[~is_ood]
        cross_entropy = F.cross_entropy(logits[~is_ood], labels) + F.cross_entropy(second[~is_ood], labels)
        found = discrepancy(logits[is_ood], second[is_ood]).mean()
        lacking = F.relu(p.margin - found) if epoch >= p.start_epoch else 0.0
        return {"loss": cross_entropy + p.beta * lacking, "cross_entropy": cross_entropy, "discrepancy": found}
