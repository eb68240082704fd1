"""Directories and hub ids in the layout of the Hugging Face libraries: read whole and safe, written without a trace of where they lay."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from penumbra.errors import PenumbraError

ORIGIN = {"_name_or_path", "name_or_path", "is_local", "local_files_only"}  # keys that say how a component was loaded


@contextmanager
def quiet(*loggers: ModuleType) -> Iterator[None]:
    """No progress bars and hints while files are read or written; what matters of them is checked elsewhere.

    Args:
        loggers: `logging` modules of the libraries (`transformers.utils.logging`).
    """
    before = [(logger.get_verbosity(), logger.is_progress_bar_enabled()) for logger in loggers]
    for logger in loggers:
        logger.set_verbosity_error()
        logger.disable_progress_bar()
    try:
        yield
    finally:
        for logger, (verbosity, bars) in zip(loggers, before, strict=True):
            logger.set_verbosity(verbosity)
            if bars:
                logger.enable_progress_bar()


def locate(source: str | os.PathLike) -> tuple[str, dict[str, Any]]:
    """What `from_pretrained` calls a source, and the options that say where it is.

    Args:
        source: a directory, which is read without a network; else a hub id, maybe with a revision (`name@revision`).
    """
    if Path(source).is_dir():
        return str(source), {"local_files_only": True}
    name, _, revision = str(source).partition("@")
    return name, {"local_files_only": False} | ({"revision": revision} if revision else {})


def load_part(kind: type, source: str | os.PathLike, where: str, what: str, **options: Any) -> Any:
    """`kind.from_pretrained(source, **options)`.

    Args:
        where: names the part in messages ("stabilityai/x/unet").
        what: the kind of thing that it should be.

    Raises:
        PenumbraError: the part cannot be loaded, for whatever reason; the first line of it is kept.
    """
    try:
        return kind.from_pretrained(str(source), **options)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PenumbraError(f"{where}: cannot be loaded as a {what} ({reason}).") from error


def load_weights(kind: type, source: str | os.PathLike, where: str, what: str, folder: Path | None, **options: Any) -> Any:
    """As `load_part`, of a network: safetensors only, and every one of its weights must be in the file.

    Args:
        folder: where the files lie, or None for a hub id.

    Raises:
        PenumbraError: also if the only weights are a pickle, or some are absent or of another shape.
    """
    if folder is not None and not list(folder.glob("*.safetensors")) and list(folder.glob("*.bin")):
        raise PenumbraError(f"{where}: has its weights as a pickle (.bin), which could run code. Save it again as safetensors.")
    module, info = load_part(kind, source, where, what, use_safetensors=True, output_loading_info=True, **options)
    absent = sorted(str(key) for problem in ("missing_keys", "mismatched_keys") for key in info[problem])
    if absent:
        raise PenumbraError(f"{where}: its file lacks the weights {', '.join(absent[:3])} ({len(absent)} in all). Get it again.")
    return module


def set_origin(directory: Path, provenance: dict | None) -> None:
    """Take out of the JSON files below a directory where the components once were loaded from: equal weights are equal bytes.

    Args:
        provenance: how they were made, which is written as penumbra.json; None leaves the directory as the libraries write it.
    """
    for path in directory.rglob("*.json"):
        content = json.loads(path.read_text())
        if content.keys() & ORIGIN:
            path.write_text(json.dumps({key: value for key, value in content.items() if key not in ORIGIN}, indent=2) + "\n")
    if provenance is not None:
        (directory / "penumbra.json").write_text(json.dumps(provenance, indent=2, sort_keys=True) + "\n")
