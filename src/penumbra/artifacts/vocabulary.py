"""Words for what is not ID: where they are listed, and which of them are names of ID classes."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from penumbra.artifacts.images import read_table
from penumbra.errors import PenumbraError


def captions(world: str | os.PathLike) -> list[str]:
    """The captions of data/images/world.parquet, row by row."""
    return [caption or "" for caption in read_table(world, ["caption"])["caption"].to_pylist()]


def lines(file: str | os.PathLike, key: str) -> list[str]:
    """The lines of a word file.

    Raises:
        PenumbraError: it cannot be read; names the parameter `key`.
    """
    try:
        return Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PenumbraError(f"{file}: cannot be read as the words of {key} ({error}).") from error


def vocabulary(words: Iterable[str], names: Sequence[str], origin: str) -> list[str]:
    """The distinct words, sorted, without blank ones and the names of ID classes (in upper or lower case).

    Args:
        words: as they are listed.
        names: of the ID classes.
        origin: where the words come from, for messages.

    Raises:
        PenumbraError: there is none, or none that is not an ID name.
    """
    listed = {word.strip() for word in words} - {""}
    if not listed:
        raise PenumbraError(f"{origin}: holds no words. Give it some, or name another list.")
    known = {name.strip().casefold() for name in names}
    found = sorted(word for word in listed if word.casefold() not in known)
    if not found:
        raise PenumbraError(f"{origin}: all of its {len(listed)} words are names of ID classes. Give it words for what is not ID.")
    return found
