"""Class probabilities as a quotient h(x) / g(x), learnt from ID images alone (Generalized ODIN, Hsu et al. 2020)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.models.classifiers.detector import AnyDetector
from penumbra.models.heads import DecomposedConfidence
from penumbra.train.losses.godin.params import Recipe
from penumbra.train.network.images import Batch
from penumbra.train.network.kept import KeptLoss
from penumbra.train.network.timed import Companion


class GodinLoss(KeptLoss):
    """L = CE of f = h / g.

    h and g learn beside the network, h without weight decay. The network's own last layer learns nothing: before each use it becomes the
    linear layer that names classes as h does, so that a saved network needs no head for that.
    """

    p: Recipe

    def __init__(self, detector: AnyDetector, p: Recipe):
        super().__init__(detector, p)
        classes, width = detector.last_layer.weight.shape
        self.kept = DecomposedConfidence(width, classes, p.similarity).to(self.device)
        self.beside("domain", self.kept.domain)
        likeness = Companion(self.kept.likeness, p.model_copy(update={"weight_decay": 0.0}))
        self.companions.append(likeness)
        self.stateful["likeness"] = likeness
        detector.last_layer.requires_grad_(False).register_forward_pre_hook(self._follow)

    def _follow(self, last_layer: torch.nn.Linear, _: Any) -> None:
        weight, bias = self.kept.likeness.linear()
        last_layer.weight.copy_(weight)
        last_layer.bias.copy_(bias)

    def __call__(self, logits: Tensor, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        self.begin()
        cross_entropy = F.cross_entropy(self.kept(features), batch.labels)
        return {"loss": cross_entropy, "cross_entropy": cross_entropy}
