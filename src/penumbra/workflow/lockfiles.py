"""A good copy of each dvc.lock, for when a killed DVC leaves one cut: it writes the file in place, which takes a while."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

from penumbra.artifacts.files import replace
from penumbra.errors import PenumbraError
from penumbra.workflow.contract import CONTRACT

COPIES, DAMAGED = Path(".penumbra"), Path(".penumbra/damaged")
LOCKS = (CONTRACT.with_suffix(".lock"),)
WRITING = 10.0  # seconds in which another DVC may be about to finish a file that it began to write
NAME = re.compile(rb"^  ([^\s:#]+):\s*$", re.MULTILINE)  # of a stage


def check(names: Collection[str] | None = None, mend: bool = False) -> None:
    """Check that each dvc.lock is whole, and keep a copy of those that are.

    Args:
        names: of all stages, of any file; None while dvc.yaml has not been read, which needs a dvc.lock that can be.
        mend: put the copy in place of one that is not whole, and say so.

    Raises:
        PenumbraError: one is not whole, and is not to be mended or has no copy.
    """
    for lock in LOCKS:
        found = fault(lock, names)
        while found and time.time() - os.stat(lock).st_mtime < WRITING:
            time.sleep(1)
            found = fault(lock, names)
        if found:
            _mend(lock, found, mend)
        elif names is not None and lock.exists() and not _equal(lock):
            with replace(COPIES / lock) as temporary:
                shutil.copyfile(lock, temporary)


def fault(lock: Path, names: Collection[str] | None) -> str | None:
    """What is wrong with a dvc.lock, or None. One that git knows is as someone wanted it, however few stages it has."""
    if not lock.exists() or _equal(lock):
        return None
    text = lock.read_bytes()
    now = _stages(text)
    if now is None:
        return "it cannot be read"
    if names is None or not (COPIES / lock).exists():
        return None
    copy = (COPIES / lock).read_bytes()
    before = [name.decode() for name in NAME.findall(copy)]
    lost = [name for name in before if name in names and name not in now]
    cut = copy.startswith(text) or lost and now == before[: len(now)]
    return f"it ends after {len(now)} of {len(before)} stages" if cut and not _in_git(lock) else None


def _equal(lock: Path) -> bool:
    copy = COPIES / lock
    return copy.exists() and copy.read_bytes() == lock.read_bytes()


def _mend(lock: Path, found: str, mend: bool) -> None:
    copy = COPIES / lock
    why = f"{lock}: {found}, as when a run is killed while DVC writes it."
    if not copy.exists():
        raise PenumbraError(f"{why} There is no copy of it: `git checkout {lock}`; DVC's cache brings finished stages back.")
    if not mend:
        raise PenumbraError(f"{why} `penumbra doctor --mend` brings back the last good one; then run again.")
    old = DAMAGED / lock
    old.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(lock, old)
    with replace(lock) as temporary:
        shutil.copyfile(copy, temporary)
    print(f"{why} The last good one is in its place; {old} is what was there.", file=sys.stderr, flush=True)


def _stages(text: bytes) -> list[str] | None:
    """Names of the stages of a dvc.lock; None if it cannot be read."""
    from ruamel.yaml import YAML, YAMLError

    try:
        content = YAML(typ="safe").load(text)
        return [name for name, entry in content["stages"].items() if entry["cmd"]]
    except (YAMLError, ValueError, AttributeError, KeyError, TypeError):
        return None


def _in_git(path: Path) -> bool:
    """Whether git has ever had this very content."""
    digest = subprocess.run(["git", "hash-object", str(path)], capture_output=True, text=True).stdout.strip()
    return bool(digest) and subprocess.run(["git", "cat-file", "-e", digest], capture_output=True).returncode == 0
