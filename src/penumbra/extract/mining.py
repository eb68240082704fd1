"""Negative labels: the words that are farthest from every ID label (NegMining, Jiang et al. 2024)."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.vocabulary import lines, vocabulary
from penumbra.errors import PenumbraError

KINDS = ("noun", "adjective")
FILES = {"adj": "adjective", "noun": "noun"}  # how the names of WordNet's lists begin
CELLS = 2**22  # cosines at a time: torch.quantile takes at most 2**24


def wordnet(folder: str, key: str) -> dict[str, str]:
    """Word -> kind, of the lists adj.*.txt and noun.*.txt in a folder, one word a line.

    The files are read in the order of their names; of a word that several list, the first one says the kind.

    Raises:
        PenumbraError: there is no list, or one cannot be read; names the parameter `key`.
    """
    files = sorted(file for start in FILES for file in Path(folder).glob(f"{start}.*.txt"))
    if not files:
        raise PenumbraError(f"{folder}: holds no lists adj.*.txt or noun.*.txt. Name the folder of WordNet's lists in {key}.")
    kinds: dict[str, str] = {}
    for file in files:
        for word in lines(file, key):
            kinds.setdefault(word, FILES[file.name.split(".")[0]])
    return kinds


def candidates(kinds: dict[str, str], names: Sequence[str], origin: str) -> list[tuple[str, str]]:
    """(word, kind) that may become negative labels, by the alphabet, so that the order of a list does not matter.

    Blank words and ID names are left out.

    Raises:
        PenumbraError: no word is left.
    """
    stripped: dict[str, str] = {}
    for word, kind in kinds.items():
        stripped.setdefault(word.strip(), kind)
    return [(word, stripped[word]) for word in vocabulary(stripped, names, origin)]


def closeness(words: Tensor, labels: Tensor, quantile: float) -> Tensor:
    """How near each word is to ID: the quantile, interpolated linearly, of its cosines to the ID labels.

    Args:
        words: text features [N, D].
        labels: text features [C, D] of the ID classes.
        quantile: in [0, 1].

    Returns:
        [N], in [-1, 1].
    """
    labels = F.normalize(labels, dim=1)
    parts = F.normalize(words, dim=1).split(max(CELLS // len(labels), 1))
    return torch.cat([torch.quantile(part @ labels.T, quantile, dim=1, interpolation="linear") for part in parts])


def mined(words: Sequence[tuple[str, str]], near: Sequence[float], share: float) -> list[int]:
    """Indices of the negative labels: nouns, then adjectives, of each kind the farthest int(share n), or 1 if there is any.

    Args:
        words: N pairs of word and kind.
        near: closeness [N]; of equally close words the alphabet decides.
        share: in (0, 1].
    """
    found: list[int] = []
    for wanted in KINDS:
        order = sorted((near[index], word, index) for index, (word, kind) in enumerate(words) if kind == wanted)
        kept = max(int(share * len(order)), 1)
        found += [index for _, _, index in order[:kept]]
    return found
