"""Encoded images of single rows of a Parquet file, with no more of it in memory than a few images."""

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow.parquet as pq

AT_ONCE = 32  # images that are unpacked together


def encoded(path: Path, rows: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """Each of the rows that the file has, with its encoded image, in ascending order; a row group is read if a row is in it."""
    file, wanted, first = pq.ParquetFile(path), sorted(set(rows)), 0
    for group in range(file.num_row_groups):
        stop = first + file.metadata.row_group(group).num_rows
        inside = [row for row in wanted if first <= row < stop]
        for batch in file.iter_batches(AT_ONCE, row_groups=[group], columns=["image"]) if inside else ():
            for row in [row for row in inside if first <= row < first + len(batch)]:
                yield row, batch.column(0)[row - first].as_py()["bytes"]
            first += len(batch)
            if first > inside[-1]:
                break
        first = stop


def digest(image: bytes) -> str:
    """Sixteen hex digits of an encoded image, by which it is known again."""
    return hashlib.sha256(image).hexdigest()[:16]
