"""`penumbra export`: a trained detector as a directory that describes itself and needs no repository around it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penumbra import kernels
from penumbra.artifacts.files import FULL, replace
from penumbra.errors import PenumbraError
from penumbra.predict import folder
from penumbra.predict.place import locate


def export(detector: str, target: Path, onnx: bool, torch: bool) -> None:
    """Write a bare detector directory; see the options of the command.

    Raises:
        PenumbraError: the directory holds something; a package is missing; the disk is full; see also `load_detector`, and `program` for
            what no graph can say.
    """
    whole, place = _free(target), locate(detector)
    kernels.use(place.kernels)  # before numpy or torch is imported

    if onnx:
        from penumbra.predict.program import require_onnx

        require_onnx()
    with replace(whole) as temporary, _room(whole):
        temporary.mkdir()
        _write(temporary, detector, whole.name, onnx, torch)
    size = sum(file.stat().st_size for file in whole.rglob("*") if file.is_file())
    graphs = " and ".join(name for name in (folder.ONNX, folder.TORCH) if (whole / name).exists())
    with_graphs = f" with {graphs}" if graphs else ""
    print(f"{target}: {size / 2**20:.1f} MiB{with_graphs}; {folder.CARD} is its card. Ask it: penumbra predict {target} IMAGE...")


def _free(target: Path) -> Path:
    """The directory by its whole path.

    Raises:
        PenumbraError: it is there already, and not empty.
    """
    whole = target.resolve()
    if whole.is_dir() and whole == Path.cwd():
        raise PenumbraError(f"{target}: is the working directory. Name a new folder.")
    if whole.exists() and not (whole.is_dir() and not any(whole.iterdir())):
        what = "is not empty" if whole.is_dir() else "is a file"
        raise PenumbraError(f"{target}: {what}. Name a new folder; nothing is replaced.")
    return whole


@contextmanager
def _room(target: Path) -> Iterator[None]:
    """Say in one line that the disk is full: libraries have errors of their own for it.

    Raises:
        PenumbraError: it is.
    """
    try:
        yield
    except PenumbraError:
        raise
    except Exception as error:
        if shutil.disk_usage(target.parent).free >= FULL:
            raise
        raise PenumbraError(f"{target}: the disk is full. Free some space and run again.") from error


def _write(path: Path, detector: str, name: str, onnx: bool, torch: bool) -> None:
    """All files of the directory; config.json, with the hashes of the others, comes last."""
    import torch as library

    from penumbra.artifacts.tables import write_json
    from penumbra.artifacts.tensors import write_tensors
    from penumbra.predict import card, contents
    from penumbra.predict.detector import TrainedDetector, opened

    found = opened(detector)
    for seed, source in found.networks.items():
        (path / folder.network(seed)).mkdir(parents=True)
        for file in ("config.json", "model.safetensors"):
            shutil.copyfile(source / file, path / folder.network(seed) / file)
        contents.write_bank(path / folder.bank(seed), found.bank(seed))
    write_tensors(path / folder.VALIDATION, {"score": library.from_numpy(found.validation)}, {"score": found.config["score"]})
    if found.clip:
        from penumbra.predict.tower import save_tower

        save_tower(found.clip, path / folder.CLIP)
    if found.provenance is not None:
        write_json(path / folder.PROVENANCE, found.provenance)
    graphs = {}
    if onnx or torch:
        from penumbra.predict.program import program, write_onnx, write_torch
        from penumbra.runtime import setup

        setup()
        on_cpu = TrainedDetector(found, library.device("cpu"))
        made = program(on_cpu)
        wanted = {folder.ONNX: (onnx, write_onnx), folder.TORCH: (torch, write_torch)}
        graphs = {file: write(path / file, on_cpu, made) for file, (asked, write) in wanted.items() if asked}
    (path / folder.CARD).write_text(card.card(found, name, graphs), encoding="utf-8")
    folder.seal(path, found.config)
    for file in path.rglob("*"):
        if file.is_file():
            file.chmod(0o644)  # safetensors writes for its owner alone
