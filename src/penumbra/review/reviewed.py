"""What is reviewed: candidates and their vetoes, as they are on disk now."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from penumbra.review.candidates import Candidates, load
from penumbra.review.ledger import Ledger


class Reviewed:
    """The candidates of a method, read again when a run has made them anew, and the file of vetoes.

    Args:
        method: its name.
        data: the folder data/.
        path: of the file of vetoes.

    Raises:
        PenumbraError: see `candidates.load`.
    """

    def __init__(self, method: str, data: Path, path: Path):
        self._load: Callable[[], Candidates] = lambda: load(method, data)
        self._path, self._one = path, Lock()
        self._set(self._load())

    def now(self) -> tuple[Candidates, Ledger]:
        """Candidates and vetoes.

        Raises:
            PenumbraError: see `candidates.load`.
        """
        with self._one:
            try:
                same = self._candidates.versions == self._versions
            except FileNotFoundError:  # while a run puts another one there
                same = False
            if not same:
                self._set(self._load())
            return self._candidates, self._ledger

    def _set(self, candidates: Candidates) -> None:
        self._candidates, self._versions = candidates, candidates.versions
        self._ledger = Ledger(self._path, candidates.frame.sample_id, candidates.outliers)
