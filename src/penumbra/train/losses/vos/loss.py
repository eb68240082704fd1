"""Virtual outliers in the space of features, and the weighted energy that parts them from ID images (VOS, Du et al. 2022)."""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.elementary import log, logsumexp
from penumbra.models.classifiers.detector import AnyDetector
from penumbra.train.losses.energy.loss import uncertainty_loss
from penumbra.train.losses.vos.params import Recipe
from penumbra.train.network.images import Batch
from penumbra.train.network.queues import Queues
from penumbra.train.network.timed import TimedLoss

RIDGE = 1e-4  # on the diagonal of the covariance, as in the official code: features of a ReLU may never be active


class ClassWeights(nn.Module):
    """The learnt weights w of the energy [C], 0 or more; fresh ones are uniform on [0, 1), as in the official code."""

    def __init__(self, classes: int):
        super().__init__()
        self.weights = nn.Parameter(torch.rand(classes))

    def forward(self, logits: Tensor) -> Tensor:
        """E(x) = -log sum_k w_k exp f_k(x) [B] of logits [B, C] (VOS 3.2)."""
        weights = F.relu(self.weights).clamp_min(torch.finfo(self.weights.dtype).tiny)
        return -logsumexp(logits + log(weights), 1)


def gaussians(features: Tensor) -> tuple[Tensor, Tensor]:
    """Means [C, D] of the classes and the lower Cholesky factor [D, D] of their one covariance (VOS 3.1), of features [C, Q, D].

    mu_k is the mean of a class, and Sigma = 1/(C Q) sum_k sum_i (h_ki - mu_k)(h_ki - mu_k)^T, with RIDGE on its diagonal. In
    float64.
    """
    means = features.double().mean(1)
    centred = (features.double() - means[:, None]).flatten(0, 1)
    covariance = centred.T @ centred / len(centred)
    covariance.diagonal().add_(RIDGE)
    return means, torch.linalg.cholesky(covariance)


def virtual_outliers(features: Tensor, samples: int, select: int) -> Tensor:
    """The `select` least likely of `samples` draws from the Gaussian of each class [C * select, D], of features [C, Q, D] (VOS 3.1).

    A draw is mu + L z with z standard normal, and its log-likelihood is a constant less half the squared length of z. So the least
    likely are those of the longest z.
    """
    means, factor = gaussians(features)
    found = []
    for mean in means:
        z = torch.randn(samples, len(mean), device=mean.device, dtype=features.dtype)
        longest = z[z.square().sum(1).topk(select).indices]
        found.append(mean + longest.double() @ factor.T)
    return torch.cat(found).to(features.dtype)


class VosLoss(TimedLoss):
    """L = CE + beta * L_uncertainty, from the epoch on where outliers begin (VOS 3.3): its queues, and the weights of its energy."""

    remedies: ClassVar[dict[str, str]] = {"uncertainty": "beta"}

    def __init__(self, detector: AnyDetector, p: Recipe):
        super().__init__(detector, p)
        classes, width = detector.last_layer.weight.shape
        self.queues = Queues(classes, p.queue, width).to(self.device)
        self.energy = self.beside("weights", ClassWeights(classes))
        self.stateful["queues"] = self.queues

    @staticmethod
    def head(p: Recipe) -> dict[str, Any]:
        return {"phi_hidden": p.phi_hidden, "phi_monotone": p.phi_monotone}

    def __call__(self, logits: Tensor, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        epoch, p = self.begin(), self.p
        cross_entropy = F.cross_entropy(logits, batch.labels)
        self.queues.add(features.detach(), batch.labels)
        if epoch < p.start_epoch or not self.queues.full:
            return {"loss": cross_entropy, "cross_entropy": cross_entropy}
        outliers = virtual_outliers(self.queues.rows, p.samples, p.select)
        log_odds = self.detector.phi(self.energy(torch.cat([logits, self.detector.last_layer(outliers)])))
        is_ood = torch.arange(len(log_odds), device=log_odds.device) >= len(logits)
        uncertainty = uncertainty_loss(log_odds, is_ood, p.reduction)
        return {"loss": cross_entropy + p.beta * uncertainty, "cross_entropy": cross_entropy, "uncertainty": uncertainty}
