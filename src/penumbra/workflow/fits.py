"""Whether published files fit the networks of the parameters, and are whole: found before anything runs, on the CPU."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.errors import PenumbraError
from penumbra.pretrain.params import PACKAGE
from penumbra.values import presets
from penumbra.workflow.contract import Contract

if TYPE_CHECKING:
    from torch import nn

UNSAFE = "Weights only load failed"  # torch goes on with how to switch its check off


def faults(contract: Contract, names: set[str], classes: int) -> Iterator[str]:
    """One line for each file that its stage would refuse.

    Args:
        names: of the stages that are to run.
        classes: number of ID classes; 0: not known, and no classifier is looked at.
    """
    experiment = contract.experiment
    looks: dict[str, Callable[[Any], None]] = {
        "encoder": _encoder,
        "rdm": lambda p: _rdm(p, _projection(experiment)),
        "mage": lambda p: _mage(p, _projection(experiment)),
        "classifier": lambda p: _classifier(p, classes),
        "diffusion": lambda p: _folder(p.pipeline),
        "inpainting": lambda p: _folder(p.pipeline),
        "ldm": lambda p: _folder(p.pipeline),
        "dit": lambda p: _folder(p.pipeline),
        "clip": lambda p: _folder(p.model),
    }
    places = [
        (f"pretrain-{kind}", place, preset, look) for kind, look in looks.items() for place, preset in presets(experiment, "pretrain", kind)
    ]
    places += [("extract-contexts", place, preset, looks["clip"]) for place, preset in presets(experiment, "extract", "contexts")]
    for step, place, preset, look in places:
        if f"{step}@{place.rpartition('.')[2]}" in names:
            try:
                look(preset)
            except PenumbraError as error:
                yield f"{place}: {error}"


def _projection(experiment: Any) -> int:
    return next(preset.projection for _, preset in presets(experiment, "pretrain", "encoder"))


def _encoder(p: Any) -> None:
    if p.checkpoint:
        from penumbra.models.published import moco_state
        from penumbra.pretrain.encoder import build

        _fits(build(p), moco_state, p.checkpoint)


def _rdm(p: Any, projection: int) -> None:
    if p.checkpoint:
        from penumbra.models.rdm import rdm_state
        from penumbra.pretrain.rdm import build

        _fits(build(p, projection), rdm_state, p.checkpoint)


def _mage(p: Any, projection: int) -> None:
    if p.checkpoint or p.vqgan_checkpoint:
        from penumbra.models.published import mage_state, vqgan_state
        from penumbra.pretrain.mage import build

        mage = build(p, projection)
        if p.checkpoint:
            _fits(mage, mage_state, p.checkpoint)
        else:
            _fits(mage.vqgan, vqgan_state, p.vqgan_checkpoint)


def _classifier(p: Any, classes: int) -> None:
    if p.checkpoint and p.checkpoint != PACKAGE and classes:
        from penumbra.models.published import load_checkpoint
        from penumbra.pretrain.classifier import build

        _fits(build(p, classes).published, load_checkpoint, p.checkpoint)


def _fits(network: "nn.Module", read: Callable[[str], dict[str, Any]], path: str) -> None:
    """Load a file into a network as its stage will.

    Raises:
        PenumbraError: it does not fit; or holds what is no plain tensor, no number, or of another kind of numbers than the network.
    """
    import torch

    from penumbra.models.published import load_strict

    again = "Get the file again, or set the path of another one."
    try:
        state = read(path)
    except PenumbraError as error:
        if UNSAFE not in str(error):
            raise
        raise PenumbraError(
            f"{path}: holds more than tensors and settings, and to open it could run code that somebody put there. {again}"
        ) from error
    for name, own in network.state_dict().items():
        value = state.get(name, own)
        if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.is_meta:
            raise PenumbraError(f"{path}: {name} is no plain tensor ({type(value).__name__}). {again}")
        if value.is_floating_point() != own.is_floating_point():
            raise PenumbraError(f"{path}: {name} holds {value.dtype}, and the network {own.dtype}. {again}")
        if value.is_floating_point() and not value.isfinite().all():
            raise PenumbraError(f"{path}: {name} holds values that are NaN or infinite. {again}")
    load_strict(network, state, path)


def _folder(path: str | None) -> None:
    """The weights in a folder of a pipeline or model: safetensors, each as long as its header says.

    Raises:
        PenumbraError: there are none, or one is cut or damaged.
    """
    if path is None or not Path(path).is_dir():
        return
    from safetensors import SafetensorError, safe_open

    files = sorted(file for file in Path(path).rglob("*.safetensors") if not file.name.startswith("."))
    if not files:
        raise PenumbraError(f"{path}: holds no weights as .safetensors. Get the folder whole, or save it again with safe_serialization.")
    for file in files:
        try:
            with safe_open(file, "numpy"):
                pass
        except (OSError, SafetensorError) as error:
            raise PenumbraError(f"{file}: is cut or damaged ({str(error).splitlines()[0]}). Get it again.") from error
