"""The classifiers of torchvision and of timm, by name: "torchvision/convnext_tiny", "timm/efficientnet_b0"."""

import os
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from typing import Any

from torch import Tensor, nn

from penumbra.errors import PenumbraError
from penumbra.models import vision
from penumbra.models.classifier import Classifier
from penumbra.models.imagenet import MEAN, STD


class LibraryClassifier(Classifier, nn.Module):
    """A network of a library, with fresh weights.

    Args:
        architecture: LIBRARY/NAME.
        classes: number of classes.
        mean, std, input_size: see `Classifier`.

    Raises:
        PenumbraError: the library is not installed or has no such network, or the network does not end in a linear layer.
    """

    def __init__(self, architecture: str, classes: int, mean: Sequence[float], std: Sequence[float], input_size: int | None):
        super().__init__()
        self.config = {"architecture": architecture, "classes": classes, "mean": list(mean), "std": list(std), "input_size": input_size}
        library, _, name = architecture.partition("/")
        self.network = _torchvision(name, classes) if library == "torchvision" else _timm(name, classes)
        linear = [module for module in self.network.modules() if isinstance(module, nn.Linear)]
        if not linear or linear[-1].out_features != classes:
            raise PenumbraError(f"architecture {architecture}: does not end in a linear layer of its classes. Use another network.")
        self._last = [linear[-1]]  # in a list, so that it is no second module of the same weights
        self.see(mean, std, input_size)

    @classmethod
    def create(cls, architecture: str, classes: int, input_size: int | None) -> "LibraryClassifier":
        """A fresh network that sees pixels as the library's published weights of it do, ImageNet's statistics where there are none."""
        library, _, name = architecture.partition("/")
        mean, std = _torchvision_statistics(name) if library == "torchvision" else _timm_statistics(name)
        return cls(architecture, classes, mean, std, input_size)

    @property
    def last_layer(self) -> nn.Linear:
        return self._last[0]

    @property
    def map_layers(self) -> list[nn.Module]:
        """All that is made of other modules: stages, blocks and their parts."""
        return [module for module in self.network.modules() if module is not self.network and next(module.children(), None) is not None]

    @property
    def published(self) -> nn.Module:
        return self.network

    def forward_normalised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features: list[Tensor] = []
        handle = self.last_layer.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0]))
        try:
            logits = self.network(x)
        finally:
            handle.remove()
        return logits if isinstance(logits, Tensor) else logits.logits, features[-1]  # Inception has auxiliary ones while it trains

    def save_pretrained(self, directory: str | os.PathLike, provenance: dict | None = None) -> None:
        """With the version of the library in config.json."""
        library = self.config["architecture"].partition("/")[0]
        super().save_pretrained(directory, (provenance or {}) | {"library": f"{library} {version(library)}"})


def _torchvision(name: str, classes: int) -> nn.Module:
    names = vision.models.list_models(module=vision.models)
    _check("torchvision", name, names)
    return vision.models.get_model(name, weights=None, num_classes=classes)


def _torchvision_statistics(name: str) -> tuple[Sequence[float], Sequence[float]]:
    _check("torchvision", name, vision.models.list_models(module=vision.models))
    seen = vision.models.get_model_weights(name).DEFAULT.transforms()
    return seen.mean, seen.std


def _timm(name: str, classes: int) -> nn.Module:
    return _timm_library(name).create_model(name, pretrained=False, num_classes=classes)


def _timm_statistics(name: str) -> tuple[Sequence[float], Sequence[float]]:
    found = _timm_library(name).get_pretrained_cfg(name)
    return (found.mean, found.std) if found else (MEAN, STD)


def _timm_library(name: str) -> Any:
    """timm is optional: named in a string, so that no stage that does without it depends on it."""
    try:
        timm = import_module("timm")
    except ModuleNotFoundError:
        raise PenumbraError(f"architecture timm/{name}: timm is not installed. Run `pip install penumbra[classifiers]`.") from None
    _check("timm", name.partition(".")[0], timm.list_models())
    return timm


def _check(library: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        near = get_close_matches(name, names, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"It has {len(names)} others."
        raise PenumbraError(f"architecture {library}/{name}: {library} has no such classifier. {hint}")
