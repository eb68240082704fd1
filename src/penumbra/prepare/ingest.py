"""Records to pixels: decoded in parallel, in order, with what is unusable or already known set aside."""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from penumbra.prepare.pixels import load_pixels
from penumbra.prepare.quarantine import Duplicates, Quarantine
from penumbra.prepare.record import Record, Unusable, read_source
from penumbra.prepare.split import Member
from penumbra.runtime import progress
from penumbra.stage import Params


class Picture(NamedTuple):
    """A usable record with its uint8 pixels [S, S, 3]."""

    record: Record
    pixels: np.ndarray


def ordered_map(function: Callable[[Any], Any], items: Iterable) -> Iterator:
    """`map` on a pool of threads that keeps the order, with a bounded number of results in memory."""
    workers = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(workers) as pool:
        pending: deque = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > 8 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


class Intake:
    """Reads sources, twice: first what they hold, then the pixels of what is wanted.

    Args:
        size: side of the square images.
        seed: the experiment's seed.
        quarantine_limit: share of a source that may be unusable.
    """

    def __init__(self, size: int, seed: int, quarantine_limit: float):
        self.size, self.seed = size, seed
        self.quarantine = Quarantine(quarantine_limit)
        self._duplicates = Duplicates()

    def members(self, spec: Params, key: str, skip: str | None = None, classless: bool = True) -> dict[str, Member]:
        """Source id -> class and official split of a source's images; what the source knows to be unusable is quarantined.

        Args:
            skip: the official split to leave out.
            classless: whether images without a class are welcome.
        """
        found = {}
        for record in read_source(spec, key, self.seed):
            fault = record.fault or ("has no class" if record.class_name is None and not classless else "")
            if fault:
                self.quarantine.count(key)
                self.quarantine.add(key, record.path or record.source_id, fault)
            elif record.official is None or record.official != skip:
                found[record.source_id] = Member(record.class_name, record.official)
        return found

    def pictures(self, spec: Params, key: str, where: str, wanted: Collection[str]) -> Iterator[Picture]:
        """The pictures of the wanted source ids, in the source's order; unusable ones, and copies of another set's, are quarantined.

        Args:
            where: the set that they are read for.
        """

        def load(record: Record) -> tuple[Record, np.ndarray | Unusable]:
            return record, load_pixels(record, self.size)

        chosen = (record for record in read_source(spec, key, self.seed) if record.source_id in wanted and not record.fault)
        for record, pixels in progress(ordered_map(load, chosen), f"prepare/{where}", total=len(wanted)):
            self.quarantine.count(key)
            path = record.path or record.source_id
            if isinstance(pixels, Unusable):
                self.quarantine.add(key, path, str(pixels))
            elif other := self._duplicates.elsewhere(pixels, where):
                self.quarantine.add(key, path, f"the same picture is in {other}")
            else:
                yield Picture(record, pixels)
