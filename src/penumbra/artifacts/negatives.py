"""data/features/negatives.safetensors: text features of the ID labels and of the negative labels that were mined for them."""

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from penumbra.artifacts.files import replace
from penumbra.errors import PenumbraError

if TYPE_CHECKING:
    from torch import Tensor


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
    """Write the tensors, with everything else as JSON in the metadata `penumbra`."""
    from safetensors.torch import save_file  # whoever has tensors has torch

    content = {
        "logit_scale": features.logit_scale,
        "id_names": features.id_names,
        "negatives": [asdict(negative) for negative in features.negatives],
        "provenance": provenance,
    }
    tensors = {name: getattr(features, name).contiguous() for name in ("id", "mcm", "negative")}
    with replace(path) as temporary:  # one entry of metadata only: safetensors writes several in random order
        save_file(tensors, temporary, {"penumbra": json.dumps(content, sort_keys=True)})


def read_negatives(path: str | os.PathLike) -> TextFeatures:
    """The tensors and what their rows are.

    Raises:
        PenumbraError: the file is missing or not what extract@negatives writes.
    """
    content = _content(path)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in ("id", "mcm", "negative")}
    return TextFeatures(**tensors, logit_scale=content["logit_scale"], id_names=content["id_names"], negatives=_labels(content))


def read_negative_labels(path: str | os.PathLike) -> list[Negative]:
    """The negative labels in the order of their rows; needs no torch.

    Raises:
        PenumbraError: see `read_negatives`.
    """
    return _labels(_content(path))


def _labels(content: dict) -> list[Negative]:
    return [Negative(**negative) for negative in content["negatives"]]


def _content(path: str | os.PathLike) -> dict:
    try:
        with safe_open(path, "numpy") as file:
            content = json.loads((file.metadata() or {}).get("penumbra", "{}"))
    except (OSError, SafetensorError) as error:
        raise PenumbraError(f"{path}: cannot be read as safetensors ({error}). Run `dvc repro` to make it again.") from error
    if "negatives" not in content:
        raise PenumbraError(f"{path}: lists no negative labels. Run `dvc repro` to make it again.")
    return content
