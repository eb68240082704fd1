"""Whether published files fit the networks of the parameters, and are whole: found before anything runs, on the CPU."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from penumbra.errors import PenumbraError
from penumbra.pretrain.params import PACKAGE
from penumbra.values import presets
from penumbra.workflow.contract import Contract


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
        "clip": lambda p: _folder(p.model),
    }
    for kind, look in looks.items():
        for place, preset in presets(experiment, "pretrain", kind):
            if f"pretrain-{kind}@{place.rpartition('.')[2]}" in names:
                try:
                    look(preset)
                except PenumbraError as error:
                    yield f"{place}: {error}"
    for place, contexts in presets(experiment, "extract", "contexts"):
        if f"extract-contexts@{place.rpartition('.')[2]}" in names:
            try:
                _folder(contexts.model)
            except PenumbraError as error:
                yield f"{place}: {error}"


def _projection(experiment: Any) -> int:
    return next(preset.projection for _, preset in presets(experiment, "pretrain", "encoder"))


def _encoder(p: Any) -> None:
    if p.checkpoint:
        from penumbra.models.published import load_strict, moco_state
        from penumbra.pretrain.encoder import build

        load_strict(build(p), moco_state(p.checkpoint), p.checkpoint)


def _rdm(p: Any, projection: int) -> None:
    if p.checkpoint:
        from penumbra.models.rdm import load_published
        from penumbra.pretrain.rdm import build

        load_published(build(p, projection), p.checkpoint)


def _mage(p: Any, projection: int) -> None:
    if p.checkpoint or p.vqgan_checkpoint:
        from penumbra.models.published import load_strict, mage_state, vqgan_state
        from penumbra.pretrain.mage import build

        mage = build(p, projection)
        if p.checkpoint:
            load_strict(mage, mage_state(p.checkpoint), p.checkpoint)
        else:
            load_strict(mage.vqgan, vqgan_state(p.vqgan_checkpoint), p.vqgan_checkpoint)


def _classifier(p: Any, classes: int) -> None:
    if p.checkpoint and p.checkpoint != PACKAGE and classes:
        from penumbra.models.published import load_checkpoint, load_strict
        from penumbra.pretrain.classifier import build

        network = build(p, classes)
        load_strict(network.published, load_checkpoint(p.checkpoint), p.checkpoint)


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
