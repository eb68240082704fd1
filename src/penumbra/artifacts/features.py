"""Features in safetensors, with sample ids and provenance in the file's own header."""

import json
import os
from typing import TYPE_CHECKING

from safetensors import safe_open

from penumbra.artifacts.files import replace

if TYPE_CHECKING:
    from torch import Tensor


def write_features(path: str | os.PathLike, tensors: "dict[str, Tensor]", sample_ids: list[str], provenance: dict, **facts: float) -> None:
    """Write tensors whose first dimension runs over `sample_ids`, and facts about all of them (`logit_scale`)."""
    from safetensors.torch import save_file  # whoever has tensors has torch

    # One entry only: safetensors writes several in random order, and equal features must be equal bytes.
    metadata = {"penumbra": json.dumps({"sample_ids": sample_ids, "provenance": provenance} | facts, sort_keys=True)}
    with replace(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata)


def read_features(path: str | os.PathLike) -> "tuple[dict[str, Tensor], list[str]]":
    """The tensors by name, and the sample ids of their rows."""
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["penumbra"])["sample_ids"]  # noqa: SIM118


def read_sample_ids(path: str | os.PathLike) -> list[str]:
    """The sample ids of the rows; needs no torch."""
    with safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["penumbra"])["sample_ids"]
