"""A saved classifier, whichever it is."""

import os
from pathlib import Path

from penumbra.artifacts.tables import read_json
from penumbra.errors import PenumbraError
from penumbra.models.classifier import Classifier
from penumbra.models.classifiers.efficientnet_lite0 import EfficientNetLite0
from penumbra.models.classifiers.library import LibraryClassifier
from penumbra.models.resnet import ResNet

KINDS: dict[str, type[Classifier]] = {kind.__name__: kind for kind in (ResNet, LibraryClassifier, EfficientNetLite0)}


def load(directory: str | os.PathLike) -> Classifier:
    """The saved network, in eval mode, its parameters frozen.

    Raises:
        PenumbraError: the directory is not that of a classifier.
    """
    try:
        kind = KINDS[read_json(Path(directory) / "config.json")["architecture"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PenumbraError(f"{directory}: not a saved classifier ({error}). Run `dvc repro` to make it again.") from error
    return kind.from_pretrained(directory)
