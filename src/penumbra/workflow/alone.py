"""One `penumbra repro` at a time in a repository, and what killed processes left there."""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from penumbra.artifacts.files import host, writer
from penumbra.errors import PenumbraError

LOCK = Path(".penumbra/repro.lock")


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock of the repository, and take away what killed processes left.

    It ends with this process and the Snakemake that this starts, whatever becomes of them: jobs outlive a killed `penumbra repro`.

    Raises:
        PenumbraError: another process holds it.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise PenumbraError(
                f"another penumbra repro is at work here (process {holder} and what it started); wait for it or stop it."
            ) from None
        os.set_inheritable(file.fileno(), True)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        remove(stray(Path(".").glob(".dvc.lock.*.tmp")))
        yield


def stray(paths: Iterable[Path]) -> list[Path]:
    """Those of the paths that a process of this host was writing which is no more; of other hosts' processes nothing is known."""
    return [path for path in paths if (by := writer(path)) and by.host == host() and not _runs(by.process)]


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # of another user
    return True
