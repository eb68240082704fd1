"""Tensors in safetensors, with what their rows are and how they were made in the file's own header."""

import json
import os
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from penumbra.artifacts.files import replace
from penumbra.errors import PenumbraError

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(path: str | os.PathLike, tensors: "dict[str, Tensor]", content: dict[str, Any]) -> None:
    """Write tensors by name, and JSON-able content that belongs to them."""
    from safetensors.torch import save_file  # whoever has tensors has torch

    # One entry only: safetensors writes several in random order, and equal features must be equal bytes.
    metadata = {"penumbra": json.dumps(content, sort_keys=True)}
    with replace(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata)


def read_tensors(path: str | os.PathLike) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """The tensors by name, and the content.

    Raises:
        PenumbraError: see `read_content`.
    """
    content = read_content(path)
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, content  # noqa: SIM118


def read_content(path: str | os.PathLike) -> dict[str, Any]:
    """The content alone; needs no torch.

    Raises:
        PenumbraError: the file is missing or was not written here.
    """
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise PenumbraError(f"{path}: cannot be read as safetensors ({error}). Run `dvc repro` to make it again.") from error
    if "penumbra" not in metadata:
        raise PenumbraError(f"{path}: does not say what its rows are. Run `dvc repro` to make it again.")
    return json.loads(metadata["penumbra"])
