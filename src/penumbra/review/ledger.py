"""The file of vetoes while a person changes it: each change is written at once."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock

from penumbra.errors import PenumbraError
from penumbra.filter import vetoes
from penumbra.filter.vetoes import Veto

LONGEST = 200  # characters of a reason


class Ledger:
    """The vetoes of one method.

    The file is the only memory: it is read before each change, so that what an editor or git has made of it is not lost.

    Args:
        path: of the file; it need not exist.
        sample_ids: of all candidates, in the order of their rows.
        outliers: the file that they are in.
    """

    def __init__(self, path: Path, sample_ids: Iterable[str], outliers: Path):
        self.path, self.outliers = path, outliers
        self._rows = {sample_id: row for row, sample_id in enumerate(sample_ids)}
        self._seen: dict[str, str] = {}  # digests of pictures that have been vetoed
        self._one = Lock()

    def reasons(self) -> tuple[dict[str, str], int]:
        """The reason of each veto by its candidate; and how many vetoes are of nothing that is there, which the next change drops.

        Raises:
            PenumbraError: the file cannot be understood.
        """
        with self._one:
            found = self._read()
            there = self._there(found)
            return {sample_id: veto.reason for sample_id, veto in there.items()}, len(found) - len(there)

    def put(self, sample_id: str, vetoed: bool, reason: str) -> int:
        """Veto a candidate, for a reason, or take its veto back; returns how many vetoes there are.

        Raises:
            PenumbraError: there is no such candidate; the reason is too long; the file cannot be understood or written. It is then as
                it was.
        """
        reason = " ".join(reason.split())
        if sample_id not in self._rows:
            raise PenumbraError(f"{sample_id[:LONGEST]!r} is no candidate of {self.outliers}.")
        if len(reason) > LONGEST or not reason.isprintable():
            raise PenumbraError(f"A reason is one line of at most {LONGEST} printable characters.")
        with self._one:
            before = self._read()
            after = self._there(before)
            after.pop(sample_id, None)
            if vetoed:
                after[sample_id] = Veto(self._images([sample_id])[sample_id], reason)
            if after == before:
                return len(after)
            try:
                vetoes.write(self.path, after)
            except OSError as error:
                raise PenumbraError(f"{self.path}: cannot be written: {error.strerror}. Nothing was saved.") from error
            return len(after)

    def _read(self) -> dict[str, Veto]:
        return vetoes.read(self.path) if self.path.exists() else {}

    def _there(self, found: Mapping[str, Veto]) -> dict[str, Veto]:
        """Those that are of candidates, and of their pictures."""
        seen = self._images([sample_id for sample_id, veto in found.items() if veto.image])
        return {sample_id: veto for sample_id, veto in found.items() if not vetoes.fault(sample_id, veto, self._rows, seen)}

    def _images(self, sample_ids: Iterable[str]) -> dict[str, str]:
        missing = [sample_id for sample_id in sample_ids if sample_id not in self._seen]
        if missing:
            self._seen |= vetoes.images(self.outliers, self._rows, missing)
        return self._seen
