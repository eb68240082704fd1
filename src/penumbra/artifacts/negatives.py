"""data/features/negatives.safetensors: text features of the ID labels and of the negative labels that were mined for them."""

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from penumbra.artifacts.tensors import read_content, read_tensors, write_tensors
from penumbra.errors import PenumbraError

if TYPE_CHECKING:
    from torch import Tensor

TENSORS = ("id", "mcm", "negative")


@dataclass(frozen=True)
class Negative:
    """A negative label.

    Attributes:
        word: as the vocabulary lists it.
        prompt: what the text encoder read.
        kind: noun | adjective.
        closeness: in [-1, 1], quantile of its cosines to the ID labels.
    """

    word: str
    prompt: str
    kind: str
    closeness: float


@dataclass(frozen=True)
class TextFeatures:
    """Raw, un-normalised text features of C ID classes and M negative labels.

    Attributes:
        id: [C, D] of the ID names in NegLabel's prompt.
        mcm: [C, D] of the ID names in MCM's prompt.
        negative: [M, D] of the negative labels: nouns, then adjectives, each the farthest first.
        logit_scale: by which the model multiplies cosines (CLIP: 100).
        id_names: [C], by label.
        negatives: [M], rows of `negative`.
    """

    id: "Tensor"
    mcm: "Tensor"
    negative: "Tensor"
    logit_scale: float
    id_names: list[str]
    negatives: list[Negative]


def write_negatives(path: str | os.PathLike, features: TextFeatures, provenance: dict) -> None:
    """Write the tensors, and everything else beside them."""
    content = {
        "logit_scale": features.logit_scale,
        "id_names": features.id_names,
        "negatives": [asdict(negative) for negative in features.negatives],
        "provenance": provenance,
    }
    write_tensors(path, {name: getattr(features, name) for name in TENSORS}, content)


def read_negatives(path: str | os.PathLike) -> TextFeatures:
    """The tensors and what their rows are.

    Raises:
        PenumbraError: the file is missing or not what extract@negatives writes.
    """
    tensors, content = read_tensors(path)
    negatives = _labels(content, path)
    return TextFeatures(**tensors, logit_scale=content["logit_scale"], id_names=content["id_names"], negatives=negatives)


def read_negative_labels(path: str | os.PathLike) -> list[Negative]:
    """The negative labels in the order of their rows; needs no torch.

    Raises:
        PenumbraError: see `read_negatives`.
    """
    return _labels(read_content(path), path)


def _labels(content: dict, path: str | os.PathLike) -> list[Negative]:
    if "negatives" not in content:
        raise PenumbraError(f"{path}: lists no negative labels. Run `dvc repro` to make it again.")
    return [Negative(**negative) for negative in content["negatives"]]
