"""A network as an OOD detector: one of our ResNets, any other classifier with the head phi beside it, or a frozen encoder with a head."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from penumbra.artifacts.tables import read_json
from penumbra.models.classifier import Classifier
from penumbra.models.classifiers.load import KINDS
from penumbra.models.classifiers.representation import RepresentationDetector
from penumbra.models.resnet import Detector, Phi


class ClassifierDetector(Classifier, nn.Module):
    """A classifier that is no ResNet of ours, with the uncertainty head `phi` on its energy where it is trained with one.

    Args:
        kind: name of the class of the classifier, and `arguments` those of its constructor.
        phi_hidden: hidden units of phi; None: there is no head, `phi` is None.
        phi_monotone: see `Phi`.
    """

    def __init__(self, kind: str, arguments: dict[str, Any], phi_hidden: int | None = None, phi_monotone: bool = True):
        super().__init__()
        self.config = {"kind": kind, "arguments": arguments, "phi_hidden": phi_hidden, "phi_monotone": phi_monotone}
        self.classifier = KINDS[kind](**arguments)
        self.phi = None if phi_hidden is None else Phi(phi_hidden, phi_monotone)

    @classmethod
    def of(cls, classifier: Classifier, **head: Any) -> "ClassifierDetector":
        """A detector with the weights of a classifier, and a fresh head."""
        detector = cls(type(classifier).__name__, classifier.config, **head)
        detector.classifier.load_state_dict(classifier.state_dict())
        return detector

    @property
    def last_layer(self) -> nn.Linear:
        return self.classifier.last_layer

    @property
    def map_layers(self) -> Sequence[nn.Module]:
        return self.classifier.map_layers

    def forward_normalised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.classifier.forward_normalised(x)

    def forward_with_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.classifier.forward_with_features(images)


AnyDetector = Detector | ClassifierDetector | RepresentationDetector
DETECTORS = {kind.__name__: kind for kind in (Detector, ClassifierDetector, RepresentationDetector)}


def load_detector(directory: str | os.PathLike) -> AnyDetector:
    """The saved detector, in eval mode, its parameters frozen.

    Raises:
        PenumbraError: the directory is not that of a detector.
    """
    config = Path(directory) / "config.json"
    name = read_json(config).get("architecture") if config.exists() else None
    return DETECTORS.get(name, Detector).from_pretrained(directory)
