"""Decoded images in a file of their own, from which a batch is read when it is asked for.

Training asks for images in random order, and Parquet gives row groups: a batch would decode hundreds of images for each that it wants. So
the row groups are decoded once, into a file in the scratch folder. A set of any size costs disk, 3 bytes a pixel, and no memory.
"""

import copy
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import decode_rows
from penumbra.errors import PenumbraError

THREADS, BLOCK = 8, 64  # at most so many row groups, encoded, are in memory, and of each so many decoded images
Part = tuple[Path, Sequence[int] | None]  # an images or outliers file, and its rows that are wanted in ascending order; None: all


class StoredPixels:
    """uint8 pixels [N, H, W, 3] in a .npy file. `pixels[rows]` reads images, as it would take them from a tensor.

    The file is read and not mapped: mapped pages count as memory of the process, whoever keeps them.

    Args:
        path: from `store`. Who has it open can read on where it is replaced or removed.

    Attributes:
        shape: (N, H, W, 3).

    Raises:
        PenumbraError: the file was cut.
    """

    def __init__(self, path: str | os.PathLike):
        try:
            header = np.load(path, mmap_mode="r")
        except (ValueError, EOFError) as error:
            raise PenumbraError(f"{path}: was cut. Remove it and run again.") from error
        self.path, self.shape, self._offset = path, header.shape, header.offset
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (as long as this object)
        self._rows: Tensor | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Pixels [B, H, W, 3] on the CPU of rows [B], int64 and not negative.

        Raises:
            PenumbraError: the file ends before an image does.
        """
        pixels = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for image, row in zip(pixels, (rows if self._rows is None else self._rows[rows]).tolist(), strict=True):
            if os.preadv(self._file.fileno(), [image], self._offset + row * image.nbytes) != image.nbytes:
                raise PenumbraError(f"{self.path}: ends before image {row}. Remove it and run again.")
        return torch.from_numpy(pixels)

    def take(self, rows: Tensor) -> "StoredPixels":
        """Some of the images [M], in that order; nothing is read."""
        taken = copy.copy(self)
        taken._rows = rows if self._rows is None else self._rows[rows]
        taken.shape = (len(rows), *self.shape[1:])
        return taken


def store(path: Path, *parts: Part) -> StoredPixels:
    """Pixels of the images of some files, one file after the other.

    Args:
        path: in the scratch folder of a stage. What lies there is of the same inputs, and is not made again.

    Raises:
        PenumbraError: an image cannot be decoded, or is not of the size of the first (names file and row); the disk is full.
    """
    if not path.exists():
        with replace(path) as temporary:
            _decode(temporary, parts)
    return StoredPixels(path)


class _Group(NamedTuple):
    """Rows of a row group: their numbers in it and in the file, and the place of the first among the stored images."""

    file: Path
    metadata: pq.FileMetaData
    number: int
    wanted: np.ndarray
    rows: np.ndarray
    place: int

    def blocks(self) -> Iterator[np.ndarray]:
        """Pixels [b, H, W, 3], b at most BLOCK."""
        images = pq.ParquetFile(self.file, metadata=self.metadata).read_row_group(self.number, columns=["image"])["image"]
        images = images if len(self.wanted) == len(images) else images.take(self.wanted)
        for start in range(0, len(images), BLOCK):
            yield decode_rows(self.file, images.slice(start, BLOCK), self.rows[start : start + BLOCK])


def _groups(parts: Sequence[Part]) -> Iterator[_Group]:
    place = 0
    for file, rows in parts:
        metadata = pq.ParquetFile(file).metadata
        every, first = np.arange(metadata.num_rows) if rows is None else np.asarray(rows, np.int64), 0
        for number in range(metadata.num_row_groups):
            stop = first + metadata.row_group(number).num_rows
            wanted = every[slice(*np.searchsorted(every, (first, stop)))]
            if len(wanted):
                yield _Group(file, metadata, number, wanted - first, wanted, place)
            place, first = place + len(wanted), stop


def _decode(target: Path, parts: Sequence[Part]) -> None:
    """Row groups are decoded side by side, each into its place."""
    groups = list(_groups(parts))
    size = next(groups[0].blocks()).shape[1:] if groups else (0, 0, 3)
    shape = (sum(len(group.rows) for group in groups), *size)
    offset = np.lib.format.open_memmap(target, "w+", np.uint8, shape).offset

    def write(group: _Group) -> None:
        with open(target, "r+b") as file:
            file.seek(offset + group.place * math.prod(size))
            for pixels in group.blocks():
                if pixels.shape[1:] != size:
                    height, width, _ = pixels.shape[1:]
                    raise PenumbraError(f"{group.file}: holds images of {height} x {width} pixels, beside others of {size[0]} x {size[1]}.")
                file.write(pixels)

    with ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), THREADS)) as pool:
        for _ in pool.map(write, groups):
            pass
