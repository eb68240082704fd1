"""Groups of labelled and unlabelled images, whose pure ones give their class to unlabelled images (UDG, Yang et al. 2021)."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.models.classifiers.detector import AnyDetector
from penumbra.train.losses.udg.groups import filtered, grouped, weights, whitened
from penumbra.train.losses.udg.params import Recipe
from penumbra.train.losses.uniform.loss import uniformity_loss
from penumbra.train.network.images import Batch, Images
from penumbra.train.network.timed import TimedLoss

BLOCK = 512  # images that the network sees at a time when they are grouped
FRESH = 0.01  # standard deviation of the auxiliary head's weights, as in the official code


class UdgLoss(TimedLoss):
    """L = L_C^I + beta * L_C^O + lambda_A * L_A (Yang et al. 2021, section 4).

    L_C^I is the cross-entropy of ID images and of unlabelled ones that a pure group has given a class; L_C^O that of the uniform
    distribution and the other unlabelled images; L_A that of the groups by an auxiliary head F_A, which is not saved. Before each
    epoch all images are grouped anew by the features that the network has then, without augmentation, and F_A begins afresh, since
    the numbers of groups mean nothing from one epoch to the next.
    """

    p: Recipe
    remedies: ClassVar[dict[str, str]] = {"uniformity": "beta", "auxiliary": "auxiliary"}

    def __init__(self, detector: AnyDetector, p: Recipe):
        super().__init__(detector, p)
        self.head = self.beside("auxiliary", nn.Linear(detector.last_layer.weight.shape[1], p.groups))
        self.groups = self.labels = self.weights = torch.empty(0)

    @torch.no_grad()
    def look(self, train: Images, outliers: Images | None) -> None:
        self.detector.eval()
        blocks = ((each, rows) for each in (train, outliers) for rows in torch.arange(len(each)).split(BLOCK))
        pixels = (each.batch(rows)[0].permute(0, 3, 1, 2) for each, rows in blocks)
        features = [self.detector.forward_with_features(block.float() / 255)[1].float() for block in pixels]
        self.groups = grouped(whitened(torch.cat(features), self.p.dimensions), self.p.groups)
        self.labels = filtered(self.groups, torch.cat([train.labels, outliers.labels]).to(self.device), self.p.purity)
        self.weights = weights(self.groups)
        self.head.weight.normal_(0, FRESH)
        self.head.bias.zero_()

    def __call__(self, logits: Tensor, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        self.begin()
        rows = batch.rows.to(self.labels.device)
        labels, unlabelled = self.labels[rows], batch.labels < 0
        known = labels >= 0
        cross_entropy = F.cross_entropy(logits[known], labels[known])
        uniformity = uniformity_loss(logits[~known]) if (~known).any() else logits.new_zeros(())
        auxiliary = (self.weights[rows] * F.cross_entropy(self.head(features), self.groups[rows], reduction="none")).mean()
        parts = {"cross_entropy": cross_entropy, "uniformity": uniformity, "auxiliary": auxiliary}
        loss = cross_entropy + self.p.beta * uniformity + self.p.auxiliary * auxiliary
        return {"loss": loss, **parts, "filtered": (known & unlabelled).sum() / unlabelled.sum()}
