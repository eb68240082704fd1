"""A bare detector directory: what `penumbra export` writes, and what opens anywhere. Reading this module imports neither numpy nor torch.

| file | holds |
|---|---|
| config.json | what the detector is, and the SHA-256 of every other file but the card |
| README.md | the model card; its owner may edit it |
| networks/seed-K/ | the network of a training seed, as in data/detectors |
| clip/ | the image tower of a CLIP detector |
| banks/seed-K.safetensors | what the scores of that seed are fitted on |
| validation.safetensors | the headline score of ID validation, from which thresholds are taken |
| provenance.json | the stages of dvc.lock that made it, with hashes of all that they read and wrote, and their parameters |
| detector.onnx, detector.pt2 | the whole of it as one graph, where it was asked for |
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penumbra.artifacts.files import hash_of
from penumbra.errors import PenumbraError

FORMAT, VERSION = "penumbra detector", 1
CONFIG, CARD, PROVENANCE, VALIDATION, CLIP = "config.json", "README.md", "provenance.json", "validation.safetensors", "clip"
ONNX, TORCH = "detector.onnx", "detector.pt2"
REMEDY = "Copy the folder again, or export the detector again."


@dataclass(frozen=True)
class Folder:
    """A bare detector directory whose config.json has been read, and no other file.

    Attributes:
        path: of the folder.
        config: the content of config.json; `contents.Contents` says what is in it.
    """

    path: Path
    config: dict[str, Any]

    @property
    def kernels(self) -> str:
        """Those that the detector was trained with."""
        return self.config["kernels"]


def network(seed: int) -> str:
    """Where the network of a training seed lies."""
    return f"networks/seed-{seed}"


def bank(seed: int) -> str:
    """Where the bank of a training seed lies."""
    return f"banks/seed-{seed}.safetensors"


def read(path: Path) -> Folder:
    """Read config.json.

    Raises:
        PenumbraError: it is not of a bare detector directory, is of a newer format, or was changed.
    """
    config, where = None, path / CONFIG
    try:
        config = json.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PenumbraError(f"{where}: cannot be read ({str(error).splitlines()[0]}). {REMEDY}") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise PenumbraError(f"{where}: is not of a detector that `penumbra export` wrote. Name another folder.")
    if config.get("format_version") != VERSION:
        found = config.get("format_version")
        raise PenumbraError(f"{where}: is of format {found}, and this Penumbra reads format {VERSION}. Take the version that wrote it.")
    if config.get("digest") != _digest(config):
        raise PenumbraError(f"{where}: was changed since it was written. {REMEDY}")
    return Folder(path, config)


def check(folder: Folder) -> None:
    """See that every file is there, and is what was written.

    Raises:
        PenumbraError: a file is missing or changed; names it.
    """
    for name, wanted in folder.config["files"].items():
        path = folder.path / name
        try:
            found = _described(path)
        except OSError as error:
            raise PenumbraError(f"{path}: {'is missing' if not path.exists() else error.strerror}. {REMEDY}") from error
        if found["size"] != wanted["size"]:
            raise PenumbraError(f"{path}: has {found['size']} bytes instead of {wanted['size']}. {REMEDY}")
        if found != wanted:
            raise PenumbraError(f"{path}: was changed since it was written. {REMEDY}")


def seal(path: Path, config: dict[str, Any]) -> None:
    """Write config.json beside all that the directory holds."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != CARD)
    content = {"format": FORMAT, "format_version": VERSION} | config
    content["files"] = {file.relative_to(path).as_posix(): _described(file) for file in files}
    content["digest"] = _digest(content)
    (path / CONFIG).write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _described(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": hash_of(path, "sha256")}


def _digest(config: dict[str, Any]) -> str:
    """SHA-256 of all but the digest itself, however it is laid out."""
    content = {key: value for key, value in config.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
