"""Outliers around the boundary of each class's features, and a head that parts them from ID images (NPOS, Tao et al. 2023)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.guidance.boundary import around, boundary, farthest
from penumbra.models.classifiers.detector import AnyDetector
from penumbra.train.losses.cider.loss import SphereLoss
from penumbra.train.losses.energy.loss import uncertainty_loss
from penumbra.train.losses.npos.params import Recipe
from penumbra.train.network.images import Batch
from penumbra.train.network.queues import Queues


def boundary_outliers(bank: Tensor, p: Recipe) -> Tensor:
    """Outliers [C * picked * keep, D] around boundary features of each class, of features [C, Q, D] of length 1 (NPOS, Algorithm 1).

    All draws share their noise; it and the choice of boundary features are of torch's global generator.
    """
    noise = torch.randn(p.samples, bank.shape[2], device=bank.device)
    found = []
    for rows in bank:
        edge = boundary(rows, p.knn_k, p.boundary)
        picked = edge[torch.randperm(p.boundary, device=bank.device)[: p.picked]]
        found.append(farthest(around(rows[picked], noise, p.sigma), rows, p.knn_k, p.keep))
    return torch.cat(found)


class NposLoss(SphereLoss):
    """L = R_closed + beta * R_open: compactness (NPOS eq. 8) with dispersion, and the risk of a head phi on the features (eq. 6).

    R_open = E_v[-log sigma(phi(v))] + E_x[-log(1 - sigma(phi(h(x))))], phi the log-odds of being OOD, h features of length 1.
    """

    p: Recipe
    remedies: ClassVar[dict[str, str]] = {"dispersion": "dispersion", "open_risk": "beta"}

    def __init__(self, detector: AnyDetector, p: Recipe):
        super().__init__(detector, p)
        classes, width = detector.last_layer.weight.shape
        self.queues = Queues(classes, p.queue, width).to(self.device)
        self.stateful["queues"] = self.queues
        self.phi = self.beside("phi", nn.Sequential(nn.Linear(width, p.hidden), nn.ReLU(), nn.Linear(p.hidden, 1)))

    def __call__(self, logits: Tensor, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        epoch, p = self.begin(), self.p
        parts = self.parts(features, batch.labels)
        loss = parts["compactness"] + p.dispersion * parts["dispersion"] + parts["cross_entropy"]
        unit = F.normalize(features, dim=1)
        self.queues.add(unit.detach(), batch.labels)
        if epoch < p.start_epoch or not self.queues.full:
            return {"loss": loss, **parts}
        outliers = boundary_outliers(self.queues.rows, p)
        log_odds = self.phi(torch.cat([unit, outliers]))[:, 0]
        risk = uncertainty_loss(log_odds, torch.arange(len(log_odds), device=log_odds.device) >= len(unit))
        return {"loss": loss + p.beta * risk, **parts, "open_risk": risk}
