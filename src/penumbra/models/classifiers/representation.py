"""A detector that learnt in an encoder's latent space: the frozen encoder, and a perceptron on its representation (Bad-OOD, app. I)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

from torch import Tensor, nn

from penumbra.models.classifier import Classifier
from penumbra.models.imagenet import MEAN, STD
from penumbra.models.moco import MoCoEncoder
from penumbra.models.resnet import Phi


class Perceptron(nn.Module):
    """Hidden layers with ReLU and a last layer; the uncertainty head `phi` on its energy lies beside them (Bad-OOD eq. 4).

    Args:
        entering: dimensions of a representation, D.
        width: of each hidden layer, H.
        depth: number of hidden layers, 1 or more.
        classes: number of ID classes, N.
        phi_hidden, phi_monotone: see `Phi`.
    """

    def __init__(self, entering: int, width: int, depth: int, classes: int, phi_hidden: int, phi_monotone: bool):
        super().__init__()
        self.config = {
            "entering": entering,
            "width": width,
            "depth": depth,
            "classes": classes,
            "phi_hidden": phi_hidden,
            "phi_monotone": phi_monotone,
        }
        sizes = pairwise([entering, *[width] * depth])
        self.hidden = nn.Sequential(*(layer for size in sizes for layer in (nn.Linear(*size), nn.ReLU())))
        self.fc = nn.Linear(width, classes)
        self.phi = Phi(phi_hidden, phi_monotone)

    def forward(self, representations: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, N] and features [B, H], of the last hidden layer, of representations [B, D]."""
        features = self.hidden(representations)
        return self.fc(features), features


class RepresentationDetector(Classifier, nn.Module):
    """An encoder and a perceptron on what it makes of images; needs nothing else.

    Args:
        encoder: arguments of `MoCoEncoder`.
        head: arguments of `Perceptron`.
    """

    def __init__(self, encoder: dict[str, Any], head: dict[str, Any]):
        super().__init__()
        self.config = {"encoder": encoder, "head": head}
        self.encoder, self.head = MoCoEncoder(**encoder), Perceptron(**head)
        self.see(MEAN, STD)

    @classmethod
    def of(cls, encoder: MoCoEncoder, head: Perceptron) -> Self:
        """A detector with the weights of both."""
        detector = cls(encoder.config, head.config)
        detector.encoder.load_state_dict(encoder.state_dict())
        detector.head.load_state_dict(head.state_dict())
        return detector

    @property
    def phi(self) -> Phi:
        """The head on the energy."""
        return self.head.phi

    @property
    def last_layer(self) -> nn.Linear:
        return self.head.fc

    @property
    def map_layers(self) -> Sequence[nn.Module]:
        return list(self.encoder.blocks)

    def forward_normalised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(self.encoder.standardised(x))
