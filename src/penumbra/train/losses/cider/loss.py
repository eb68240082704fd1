"""Embeddings on a sphere, compact around the prototype of their class, prototypes apart (CIDER, Ming et al. 2023)."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.elementary import logsumexp
from penumbra.models.classifiers.detector import AnyDetector
from penumbra.train.losses.cider.params import Recipe, SphereRecipe
from penumbra.train.network.images import Batch
from penumbra.train.network.timed import TimedLoss


def moved(prototypes: Tensor, embeddings: Tensor, labels: Tensor, alpha: float) -> Tensor:
    """Prototypes [C, D] after mu := normalize(alpha mu + (1 - alpha) z) for each embedding z [B, D] of their class, in order (CIDER 3.2).

    The first of each class are taken at once, then the second, so that no class waits for another. Differentiable in the embeddings.
    """
    of_class = F.one_hot(labels, len(prototypes))
    rank = (of_class.cumsum(0) * of_class).sum(1)
    for turn in range(1, int(rank.max()) + 1):
        rows = torch.nonzero(rank == turn)[:, 0]
        mean = F.normalize(alpha * prototypes[labels[rows]] + (1 - alpha) * embeddings[rows], dim=1)
        prototypes = prototypes.index_put((labels[rows],), mean)
    return prototypes


def compactness(embeddings: Tensor, labels: Tensor, prototypes: Tensor, tau: float) -> Tensor:
    """L_comp = -1/B sum_i log (exp(z_i mu_c(i) / tau) / sum_j exp(z_i mu_j / tau)) (CIDER 3.2; NPOS eq. 8), all of length 1."""
    return F.cross_entropy(embeddings @ prototypes.T / tau, labels)


def dispersion(prototypes: Tensor, tau: float) -> Tensor:
    """L_dis = 1/C sum_i log (1/(C - 1) sum_{j != i} exp(mu_i mu_j / tau)) (CIDER 3.2); 0 for one class."""
    count = len(prototypes)
    if count == 1:
        return prototypes.new_zeros(())
    similarity = (prototypes @ prototypes.T / tau).masked_fill(torch.eye(count, dtype=torch.bool, device=prototypes.device), -torch.inf)
    return logsumexp(similarity, 1).mean() - math.log(count - 1)


class Sphere(nn.Module):
    """The projection of features [B, F] to embeddings [B, D] of length 1: a hidden layer as wide as the features (CIDER, app. B)."""

    def __init__(self, features: int, width: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, width))

    def forward(self, features: Tensor) -> Tensor:
        return F.normalize(self.layers(features), dim=1)


class Prototypes(nn.Module):
    """One of each class [C, D], of length 1; 0 until the first embedding, which it then is."""

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.register_buffer("rows", torch.zeros(classes, width))


class SphereLoss(TimedLoss):
    """What losses on a sphere share: the projection, the prototypes, and a last layer that is a probe.

    The last layer learns to name classes from the features as they are; its gradient ends there.
    """

    def __init__(self, detector: AnyDetector, p: SphereRecipe):
        super().__init__(detector, p)
        classes, width = detector.last_layer.weight.shape
        self.sphere = self.beside("sphere", Sphere(width, p.projection))
        self.prototypes = Prototypes(classes, p.projection).to(self.device)
        self.stateful["prototypes"] = self.prototypes

    def parts(self, features: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """compactness, dispersion and the probe's cross_entropy of a batch, whose embeddings move the prototypes."""
        embeddings = self.sphere(features)
        prototypes = moved(self.prototypes.rows, embeddings, labels, self.p.momentum_of_prototypes)
        self.prototypes.rows = prototypes.detach()
        return {
            "compactness": compactness(embeddings, labels, self.prototypes.rows, self.p.temperature),
            "dispersion": dispersion(prototypes, self.p.temperature),
            "cross_entropy": F.cross_entropy(self.detector.last_layer(features.detach()), labels),
        }


class CiderLoss(SphereLoss):
    """L = L_comp + beta * L_dis, and the probe's cross-entropy."""

    p: Recipe
    remedies: ClassVar[dict[str, str]] = {"dispersion": "beta"}

    def __call__(self, logits: Tensor, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        self.begin()
        parts = self.parts(features, batch.labels)
        return {"loss": parts["compactness"] + self.p.beta * parts["dispersion"] + parts["cross_entropy"], **parts}
