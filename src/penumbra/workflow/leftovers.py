"""What lies in the folders of data/ and is of no stage: taken away, since other stages depend on all that lies there.

Stages leave it that are no more, and experiments whose parameters were put back. Only what DVC's cache has is taken away: a stage
that comes back has it from there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penumbra.artifacts.files import hash_of
from penumbra.workflow.alone import remove
from penumbra.workflow.contract import Contract
from penumbra.workflow.repository import opened

DATA = Path("data")


def clear(contract: Contract) -> list[str]:
    """Take it away, and return its paths."""
    outputs = [Path(path) for entry in contract.stages.values() for path in entry.outputs]
    found = [path for folder in sorted(DATA.glob("*/")) for path in _strays(folder, outputs)]
    if not found:
        return []
    with opened() as repo:
        known = [path for path in found if all(_in_cache(repo.cache.local, file) for file in _files(path))]
    remove(known)
    return [path.as_posix() for path in known]


def _strays(folder: Path, outputs: list[Path]) -> Iterator[Path]:
    """What lies in a folder and is no output; of a folder with outputs, what else is in it."""
    for path in sorted(folder.iterdir()):
        if path in outputs or path.name.startswith("."):
            continue
        if any(path in output.parents for output in outputs):
            yield from _strays(path, outputs)
        else:
            yield path


def _files(path: Path) -> list[Path]:
    files = path.rglob("*") if path.is_dir() else [path]
    return [file for file in files if file.is_file() and file.name != ".snakemake_timestamp"]


def _in_cache(cache: Any, file: Path) -> bool:
    return Path(cache.oid_to_path(hash_of(file, "md5"))).exists()
