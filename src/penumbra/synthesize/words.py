"""OOD words: what SONA adds to an ID image (Yoon et al. 2025, Table 2)."""

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.images import read_table
from penumbra.errors import PenumbraError

POOL = 0.25  # share of the words that are close, and that are far


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
        raise PenumbraError(f"{origin}: holds no words for the outliers. Give it some, or name a word_file.")
    known = {name.strip().casefold() for name in names}
    found = sorted(word for word in listed if word.casefold() not in known)
    if not found:
        raise PenumbraError(f"{origin}: all of its {len(listed)} words are names of ID classes. Give it words for what is not ID.")
    return found


def text_distance(a: Tensor, b: Tensor) -> Tensor:
    """Cosine distance [M, N] of text embeddings [M, D] and [N, D]."""
    return 1 - F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


def pool(distance: Tensor, choice: str) -> Tensor:
    """Indices of the words that may be drawn for an ID class: all, or the nearest or the farthest quarter, one at least.

    Args:
        distance: [N], of the class's name from each word.
        choice: close | far | anything else, which takes all.
    """
    count = math.ceil(POOL * len(distance))
    order = torch.argsort(distance, stable=True)
    return {"close": order[:count], "far": order[-count:]}.get(choice, torch.arange(len(distance)))


def draw(candidates: Tensor, uniform: float) -> int:
    """One of the candidates [N], by a draw from [0, 1)."""
    return int(candidates[int(uniform * len(candidates))])
