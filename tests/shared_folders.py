"""Folders that are filled once for all processes of the tests."""

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


def filled(folder: Path, fill: Callable[[Path], object]) -> Path:
    """The folder, filled by the first process that asks for it; copy what is in it before changing it."""
    made = folder.with_name(f"{folder.name}.made")
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed
            fill(folder)
            made.touch()
    return folder
