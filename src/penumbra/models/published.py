"""Published checkpoint files: their layouts, read safely and strictly.

A file is read with `weights_only=True`; nothing in it is executed. It must fit the network exactly: a missing, foreign or
differently shaped tensor is an error that names it.
"""

import argparse
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from penumbra.errors import PenumbraError

State = dict[str, Tensor]

# The released MoCo-v3 ViT-L file of RCG holds four layers of blocks 13 and 14 under misspelt names.
VIT_L_MISSPELT = {
    "blocks.13.norm13.": "blocks.13.norm1.",
    "blocks.13.mlp.fc13.": "blocks.13.mlp.fc1.",
    "blocks.14.norm14.": "blocks.14.norm2.",
    "blocks.14.mlp.fc14.": "blocks.14.mlp.fc2.",
}


def load_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """The dictionary in a file written by `torch.save`, or in a safetensors file, on the CPU.

    The command-line arguments that training scripts leave in it (`argparse.Namespace`) are let through; any other class
    is refused.

    Raises:
        PenumbraError: the file is missing, damaged, or holds something else than a dictionary of tensors and settings.
    """
    try:
        if Path(path).suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise PenumbraError(f"{path}: cannot be read ({error.strerror or error}). Set the path of the published checkpoint.") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PenumbraError(f"{path}: not a checkpoint that can be read safely ({reason}). Download the file again.") from error
    if not isinstance(content, dict):
        raise PenumbraError(f"{path}: holds a {type(content).__name__}, not the dictionary of a checkpoint. Set the path of another file.")
    return content


def section(checkpoint: Mapping[str, Any], name: str, path: str | os.PathLike) -> State:
    """The state dict that lies under `name` in a checkpoint.

    Raises:
        PenumbraError: there is none.
    """
    state = checkpoint.get(name)
    if not isinstance(state, Mapping) or not state:
        raise PenumbraError(f"{path}: has no weights under {name!r}; it holds {_list(checkpoint)}. Set the path of another file.")
    return dict(state)


def below(state: Mapping[str, Tensor], prefix: str) -> State:
    """The entries whose name starts with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def moco_state(path: str | os.PathLike) -> State:
    """State dict of `moco.MoCoEncoder` from an official MoCo-v3 file (.pth.tar).

    The momentum encoder and the predictor are left out, the misspelt names of the released ViT-L are put right.
    """
    state = below(section(load_checkpoint(path), "state_dict", path), "module.base_encoder.")
    if not state:
        raise PenumbraError(f"{path}: not a MoCo-v3 checkpoint: no weights named module.base_encoder.*. Set the path of another file.")
    return {_spelt(name): tensor for name, tensor in state.items()}


def _spelt(name: str) -> str:
    for wrong, right in VIT_L_MISSPELT.items():
        if name.startswith(wrong):
            return right + name.removeprefix(wrong)
    return name


def vqgan_state(path: str | os.PathLike) -> State:
    """State dict of `vqgan.VQGAN` from an official tokenizer file: flat, or under "state_dict"."""
    checkpoint = load_checkpoint(path)
    return section(checkpoint, "state_dict", path) if "state_dict" in checkpoint else checkpoint


def mage_state(path: str | os.PathLike) -> State:
    """State dict of `mage.MAGE`, its tokenizer included, from an official RCG file; see `encoder_in_mage` for what is left out."""
    state = section(load_checkpoint(path), "model", path)
    return {name: tensor for name, tensor in state.items() if not name.startswith("pretrained_encoder.")}


def encoder_in_mage(path: str | os.PathLike) -> State:
    """State dict of the `moco.MoCoEncoder` that an official RCG file (MAGE or RDM) carries along."""
    state = below(section(load_checkpoint(path), "model", path), "pretrained_encoder.")
    if not state:
        raise PenumbraError(f"{path}: no weights named pretrained_encoder.*. Set the path of another file.")
    return state


def load_strict(network: nn.Module, state: Mapping[str, Tensor], path: str | os.PathLike) -> None:
    """Load `state` into `network`; every tensor must be there, with its shape, and nothing else.

    Raises:
        PenumbraError: names the tensors that differ and, for shapes, both sizes.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in state]
    foreign = [name for name in state if name not in own]
    sizes = [
        f"{name} is {list(state[name].shape)} in the file and {list(tensor.shape)} by the parameters"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    faults = [
        *([f"{len(missing)} missing: {_list(missing)}"] if missing else []),
        *([f"{len(foreign)} unknown: {_list(foreign)}"] if foreign else []),
        *([f"{len(sizes)} of another size: {_list(sizes)}"] if sizes else []),
    ]
    if faults:
        kind = type(network).__name__
        raise PenumbraError(f"{path}: does not fit {kind}; tensors {'; '.join(faults)}. Set its sizes in params.yaml or another file.")
    network.load_state_dict(state, strict=True)


def check_encoder(encoder: nn.Module, path: str | os.PathLike) -> None:
    """Refuse a published RDM or MAGE that was trained on the representations of another encoder.

    All of them have 256 dimensions, so that any mixture would load.

    Args:
        encoder: a `moco.MoCoEncoder`.
        path: an official RCG file, which carries its encoder along.

    Raises:
        PenumbraError: the encoder inside the file differs in size, weights or statistics.
    """
    inside = type(encoder)(**encoder.config)
    load_strict(inside, encoder_in_mage(path), path)
    own = encoder.state_dict()  # the statistics of batch norm, too
    if not all(torch.equal(own[name].cpu(), other) for name, other in inside.state_dict().items()):
        raise PenumbraError(
            f"{path}: was trained on another encoder. Set pretrain.encoder.moco.checkpoint to the encoder that belongs to it."
        )


def _list(names: Any, shown: int = 3) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
