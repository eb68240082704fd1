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
    """Write tensors by name, and JSON-able content that belongs to them.

    Raises:
        PenumbraError: see `check_finite`.
    """
    from safetensors.torch import save_file  # whoever has tensors has torch

    check_finite(path, tensors)
    # One entry only: safetensors writes several in random order, and equal features must be equal bytes.
    metadata = {"penumbra": json.dumps(content, sort_keys=True)}
    with replace(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata)


def check_finite(path: str | os.PathLike, tensors: "dict[str, Tensor]") -> None:
    """Refuse to hand on what is not a number: whatever reads it would fail later, and elsewhere.

    Raises:
        PenumbraError: a tensor holds NaN or an infinite value; names it.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not (finite := tensor.isfinite()).all():
            raise PenumbraError(
                f"{path}: {name} would hold {(~finite).sum().item()} values that are NaN or infinite. Where the model was trained here, "
                "lower its learning_rate in params.yaml; where it is a published file, that is damaged: fetch it again."
            )


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
