"""Atomic writes: a reader sees the whole file or the old one, never half."""

import errno
import functools
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from penumbra.errors import PenumbraError

FULL = 2**20  # bytes of free space below which a disk counts as full
TEMPORARY = re.compile(r"\..+\.(\d+)@([^@]+)\.[0-9a-f]{8}\.tmp")


class Writer(NamedTuple):
    """A process, by its number, and the host that counts so."""

    process: int
    host: str


@contextmanager
def replace(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success rename it into place, on failure remove it.

    What the caller creates there may be a file or a directory. Its name says who writes it (`writer`). No two are equal, whichever hosts
    share the file system: processes in containers have the same few numbers, and machines may have the same name.

    Raises:
        PenumbraError: the disk is full; nothing at `path` has changed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}@{host()}.{os.urandom(4).hex()}.tmp")
    try:
        yield temporary
        for file in [temporary] if temporary.is_file() else sorted(temporary.rglob("*")):
            if file.is_file():
                _flush(file)
        if path.is_dir() and not path.is_symlink():
            _remove(path)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PenumbraError(f"{path}: the disk is full. Free some space and run again; finished work is kept.") from error
        raise
    finally:
        _remove(temporary)


def host() -> str:
    """The name of this machine, or of this container: whose processes can be asked for by their numbers."""
    return os.uname().nodename


def writer(path: str | os.PathLike) -> Writer | None:
    """Who writes a temporary path of `replace`, or wrote it and was killed; None for any other path."""
    match = TEMPORARY.fullmatch(Path(path).name)
    return Writer(int(match[1]), match[2]) if match else None


def hash_of(path: str | bytes | os.PathLike, algorithm: str) -> str:
    """The hash of a file's bytes in hexadecimal digits: for telling files apart, not for secrets.

    Args:
        algorithm: as hashlib names it: md5 (DVC's), sha256 (model cards'), blake2b.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, functools.partial(hashlib.new, algorithm, usedforsecurity=False)).hexdigest()


def _flush(file: Path) -> None:
    with open(file, "rb") as handle:
        os.fsync(handle.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
