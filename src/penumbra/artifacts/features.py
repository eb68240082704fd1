"""Features of images, one row for each sample id."""

import os
from typing import TYPE_CHECKING

from penumbra.artifacts.tensors import read_content, read_tensors, write_tensors

if TYPE_CHECKING:
    from torch import Tensor


def write_features(path: str | os.PathLike, tensors: "dict[str, Tensor]", sample_ids: list[str], provenance: dict, **facts: float) -> None:
    """Write tensors whose first dimension runs over `sample_ids`, and facts about all of them (`logit_scale`)."""
    write_tensors(path, tensors, {"sample_ids": sample_ids, "provenance": provenance} | facts)


def read_features(path: str | os.PathLike) -> "tuple[dict[str, Tensor], list[str]]":
    """The tensors by name, and the sample ids of their rows.

    Raises:
        PenumbraError: the file is missing or was not written here.
    """
    tensors, content = read_tensors(path)
    return tensors, content["sample_ids"]


def read_sample_ids(path: str | os.PathLike) -> list[str]:
    """The sample ids of the rows; needs no torch.

    Raises:
        PenumbraError: see `read_features`.
    """
    return read_content(path)["sample_ids"]
