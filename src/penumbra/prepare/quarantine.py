"""What was left out, and why."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from penumbra.artifacts.tables import write_csv
from penumbra.errors import PenumbraError


class Quarantine:
    """Collects unusable images, source by source.

    Args:
        limit: share of a source's images, in [0, 1], that may be unusable.
    """

    def __init__(self, limit: float):
        self._limit = limit
        self._rows: list[tuple[str, str, str]] = []
        self._totals: Counter[str] = Counter()

    def count(self, source: str) -> None:
        """One more image of the source, usable or not."""
        self._totals[source] += 1

    def add(self, source: str, path: str, reason: str) -> None:
        """Leave an image out."""
        self._rows.append((source, path, reason))

    def table(self) -> pd.DataFrame:
        """Columns source, path, reason."""
        return pd.DataFrame(self._rows, columns=["source", "path", "reason"])

    def check(self, listing: Path) -> None:
        """Refuse sources that lost more than the limit.

        Args:
            listing: where the table is left for the user if one did.

        Raises:
            PenumbraError: names the first such source, the counts, the first reasons and the listing.
        """
        for source, total in self._totals.items():
            lost = [f"{path}: {reason}" for name, path, reason in self._rows if name == source]
            if len(lost) > self._limit * total:
                write_csv(listing, self.table())
                what = f"{len(lost)} of {total} images are unusable; prepare.quarantine_limit is {self._limit:g}"
                raise PenumbraError(f"prepare.{source}: {what}. First: {'; '.join(lost[:3])}. All are listed in {listing}.")


class Duplicates:
    """Remembers in which set each picture was first seen; 16 bytes a picture."""

    def __init__(self):
        self._first: dict[bytes, str] = {}

    def elsewhere(self, pixels: np.ndarray, where: str) -> str | None:
        """The other set that already holds exactly these pixels; else remember them as seen in `where`."""
        first = self._first.setdefault(hashlib.blake2b(pixels.tobytes(), digest_size=16).digest(), where)
        return first if first != where else None
