"""Receipts: what a stage depended on when its job began, written at the job's end if all of it is still the same.

DVC hashes what a stage depends on after it has run, and would record an edit that was made meanwhile as already computed. So a
job fails if something changed under it, and a stage without a receipt that holds is not recorded.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penumbra.artifacts.files import hash_of, replace
from penumbra.artifacts.tables import read_json
from penumbra.errors import PenumbraError
from penumbra.experiment.load import load
from penumbra.stage import Stage
from penumbra.workflow import code
from penumbra.workflow.contract import CODE, PARAMETERS, Contract, Entry, dig

RECEIPTS = Path(".penumbra/receipts")
DIGESTED = 2**26  # bytes; a larger file is the same while its size, time and inode are, a smaller one also if its content is
IGNORED = ".snakemake_timestamp"


def path(stage: str, part: int | None = None) -> Path:
    """The receipt of a stage, or of the job that does one part of it."""
    return RECEIPTS / f"{stage}{'' if part is None else f'.{part}'}.json"


def discard(stage: str) -> None:
    """Forget the receipts of a stage and of its parts."""
    for file in (path(stage), *RECEIPTS.glob(f"{stage}.*.json")):
        file.unlink(missing_ok=True)


@contextmanager
def kept(contract: Contract, entry: Entry, stage: Stage) -> Iterator[None]:
    """Within this the job works; at its end its receipt is written.

    Raises:
        PenumbraError: what the stage depends on changed meanwhile. Its finished blocks, which may be of either, are forgotten.
    """
    began, start = identity(contract, entry), time.monotonic()
    yield
    seconds = time.monotonic() - start
    code.checked(contract, entry)
    if change := difference(entry, began):
        stage.finish()
        raise PenumbraError(f"{entry.name}: {change} changed while it ran; its result is not recorded. Run again.")
    with replace(path(entry.name, stage.part and stage.part[0])) as temporary:
        temporary.write_text(json.dumps({"seconds": round(seconds, 2), "ended": time.time(), **began}), encoding="utf-8")


def read(stage: str, part: int | None = None) -> dict[str, Any] | None:
    """The receipt of a job; None if there is none, or none that can be read."""
    try:
        return json.loads(path(stage, part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def fault(entry: Entry) -> str | None:
    """Why the result of a stage that has run must not be recorded, in one line; None if it may be."""
    receipt = read(entry.name)
    if receipt is None:
        return f"{entry.name}: its job did not come to its end."
    change = difference(entry, receipt)
    return f"{entry.name}: {change} changed since it ran; its result is not recorded. Run again." if change else None


def identity(contract: Contract, entry: Entry) -> dict[str, Any]:
    """Everything that a stage depends on: the values it declares, and its files with size, time, inode and content."""
    files = {file: [*_stat(file), _digest(file)] for name in entry.data for file in _files(name)}
    return {"values": _values(entry, contract.given), "files": files}


def difference(entry: Entry, began: dict[str, Any]) -> str | None:
    """The first thing that is not as it was when `began` was taken: `params.yaml: KEY`, or a path; None if all is as it was."""
    try:
        values = _values(entry, load(PARAMETERS))
    except PenumbraError:
        return PARAMETERS.name
    for file, old in began["values"].items():
        for key in old:
            if leaf := changed(key, old[key], values.get(file, {}).get(key)):
                return f"{file}: {leaf}"
    present = {file for name in entry.data for file in _files(name)}
    for file in sorted(present | began["files"].keys()):
        if file not in present or file not in began["files"] or not _same(file, began["files"][file]):
            return file
    return None


def changed(name: str, old: Any, new: Any) -> str | None:
    """The name of the first value within `old` and `new`, which are called `name`, that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys(map(str, (*old, *new)))
        old, new = ({str(key): value for key, value in each.items()} for each in (old, new))
        return next((leaf for key in keys if (leaf := changed(f"{name}.{key}", old.get(key), new.get(key)))), None)
    return None if json.dumps(old, default=str) == json.dumps(new, default=str) else name


def _values(entry: Entry, given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the stage declares of params.yaml and of code.json."""
    recorded = read_json(CODE) if CODE.exists() else {}
    contents = {PARAMETERS.name: (given, entry.params), CODE.name: (recorded, entry.code)}
    return {name: {key: dig(content, key) for key in keys} for name, (content, keys) in contents.items()}


def _files(name: str) -> list[str]:
    folder = Path(name)
    if not folder.is_dir():
        return [name] if folder.exists() else []
    return [file.as_posix() for file in sorted(folder.rglob("*")) if file.is_file() and file.name != IGNORED]


def _stat(file: str) -> list[int]:
    found = os.stat(file)
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def _digest(file: str) -> str | None:
    if os.path.getsize(file) > DIGESTED:
        return None
    return hash_of(file, "blake2b")[:32]


def _same(file: str, old: list[Any]) -> bool:
    *stat, digest = old
    now = _stat(file)
    return now == stat or (digest is not None and now[0] == stat[0] and _digest(file) == digest)
