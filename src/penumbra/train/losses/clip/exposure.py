"""What a CLIP detector is trained on, and the phases of its training (SynOOD 3.4, 3.5, Table 5)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.models.clip_detector import ClipDetector
from penumbra.train.features import Features
from penumbra.train.losses.clip.loss import image_loss, label_loss
from penumbra.train.losses.clip.params import Recipe
from penumbra.training import set_learning_rate

BLOCK = 512


@dataclass(frozen=True)
class Schedule:
    """An optimiser, and the learning rates that it begins and would end with."""

    optimizer: torch.optim.Optimizer
    start: float
    end: float = 0.0

    def set_rate(self, epoch: int, total: int) -> None:
        """Half a cosine over the epochs, constant in each; the last rate lies one epoch before the end."""
        set_learning_rate(self.optimizer, self.end + (self.start - self.end) * (1 + math.cos(math.pi * epoch / total)) / 2)


@dataclass(frozen=True)
class Phase:
    """A loop over images.

    Attributes:
        name: project | tune | joint.
        epochs: number of passes.
        count: number of images.
        loss: of the images in some rows.
        parts: what is trained, by name.
        schedules: of each part.
    """

    name: str
    epochs: int
    count: int
    loss: Callable[[Tensor], Tensor]
    parts: dict[str, nn.Module]
    schedules: dict[str, Schedule]


@torch.no_grad()
def matched(features: Tensor, negatives: Tensor) -> Tensor:
    """Row of the nearest negative label by cosine [N], of outliers [N, D] and all M negative labels [M, D] (SynOOD 3.4).

    ID labels do not compete: every outlier gets a negative label, however near it is to a class.
    """
    negatives = F.normalize(negatives, dim=1).T
    return torch.cat([(F.normalize(block, dim=1) @ negatives).argmax(1) for block in features.split(BLOCK)])


class Exposure:
    """What a detector is trained on and how, by the strategies of SynOOD's Table 5.

    separate: the layer, then the labels as if there were no layer. projected: the layer, then the labels on features behind it.
    joint: both at a time on the sum of their losses, for as many epochs as the longer of the two would take.

    Args:
        detector: zero-shot; trained in place.
        p: the recipe.
        images: ID images and their classes.
        outliers: raw features [N, D]. Without any no negative label is matched: the layer learns the classes of ID images alone.
    """

    def __init__(self, detector: ClipDetector, p: Recipe, images: Features, outliers: Tensor):
        self.detector, self.p, self.classes = detector, p, len(detector.texts)
        self.rows, labels = torch.unique(matched(outliers, detector.negatives), return_inverse=True)  # in the file's order
        self.outliers = Features(outliers, labels)
        self.images = Features(torch.cat([images.values, outliers]), torch.cat([images.labels, self.classes + labels]))
        self.tuned = nn.Embedding.from_pretrained(detector.negatives[self.rows], freeze=False)

    def phases(self) -> Iterator[Phase]:
        """One after the other: each is built on what the one before has left."""
        if self.p.strategy == "joint":
            yield self._joint()
            return
        if self.p.project:
            yield self._project()
        if self.p.tune:
            yield self._tune()

    def write_labels(self) -> None:
        """Put the tuned rows in their places."""
        self.detector.negatives[self.rows] = self.tuned.weight.detach()
        self.detector.tuned[self.rows] = self.p.tune

    def _project(self) -> Phase:
        def loss(batch: Tensor) -> Tensor:
            features = self.detector.image_features(self.images.values[batch])
            return self._image_loss(features, self.images.labels[batch], self.tuned.weight.detach())

        parts, schedules = {"delta": self.detector.delta}, {"delta": self._adam()}
        return Phase("project", self.p.project_epochs, len(self.images), loss, parts, schedules)

    def _tune(self) -> Phase:
        with torch.no_grad():  # nothing behind the features learns
            projected = self.p.strategy == "projected"
            features = self.detector.image_features(self.outliers.values) if projected else self.outliers.values

        def loss(batch: Tensor) -> Tensor:
            return self._label_loss(features[batch], self.outliers.labels[batch])

        parts, schedules = {"labels": self.tuned}, {"labels": self._sgd()}
        return Phase("tune", self.p.tune_epochs, len(self.outliers), loss, parts, schedules)

    def _joint(self) -> Phase:
        def loss(batch: Tensor) -> Tensor:
            features, labels = self.detector.image_features(self.images.values[batch]), self.images.labels[batch]
            is_ood = labels >= self.classes
            total = self._image_loss(features, labels, self.tuned.weight)
            return total + self._label_loss(features[is_ood], labels[is_ood] - self.classes) if is_ood.any() else total

        count = max(self.p.project_epochs, self.p.tune_epochs)
        parts, schedules = {"delta": self.detector.delta, "labels": self.tuned}, {"delta": self._adam(), "labels": self._sgd()}
        return Phase("joint", count, len(self.images), loss, parts, schedules)

    def _image_loss(self, features: Tensor, labels: Tensor, negatives: Tensor) -> Tensor:
        return image_loss(features, labels, self.detector.texts, negatives, self.detector.temperature, self.p.classes)

    def _label_loss(self, features: Tensor, labels: Tensor) -> Tensor:
        return label_loss(features, labels, self.tuned.weight, self.detector.temperature, self.p.orientation)

    def _adam(self) -> Schedule:
        rate, p = self.p.project_learning_rate, self.p
        adam = torch.optim.Adam(self.detector.delta.parameters(), rate, weight_decay=p.project_weight_decay, fused=True)
        return Schedule(adam, rate, p.project_learning_rate_end)

    def _sgd(self) -> Schedule:
        rate, p = self.p.tune_learning_rate, self.p
        return Schedule(torch.optim.SGD(self.tuned.parameters(), rate, p.tune_momentum, weight_decay=p.tune_weight_decay), rate)
