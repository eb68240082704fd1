"""What a network makes of many images, in a file of its own, from which a batch is read when it is asked for.

Latents, tokens and representations are made once and learnt from for many epochs. A file in the scratch folder costs disk, and no memory.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from penumbra.artifacts.files import replace
from penumbra.artifacts.pixels import StoredPixels


class StoredRows:
    """Tensors of one shape, [N, ...] in all. `stored[rows]` reads some, as it would take them from a tensor on the device.

    What has four axes, [N, C, h, w], comes channels last in memory, as networks make it of images that lie so.

    Args:
        path: from `store_rows`. Who has it open can read on where it is replaced or removed.
        device: where batches go.
        dtype: of the numbers.

    Attributes:
        shape: (N, ...).
    """

    def __init__(self, path: str | os.PathLike, device: torch.device, dtype: torch.dtype):
        self._bytes, self.device, self._dtype = StoredPixels(path), device, dtype
        count, *sides, width = self._bytes.shape
        width //= dtype.itemsize
        self.shape = (count, width, *sides) if len(sides) == 2 else (count, *sides, width)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Some of them [B, ...], by their numbers [B].

        Raises:
            PenumbraError: the file ends before one does.
        """
        return self._numbers(self._bytes[rows]).to(self.device)

    def split(self, size: int) -> Iterator[Tensor]:
        """Batches of so many in order; the last may be smaller."""
        return (self[rows] for rows in torch.arange(len(self)).split(size))

    def mapped(self) -> Tensor:
        """All of them, on the CPU, for what must be computed at once. Memory holds what is in use, and gives it back."""
        return self._numbers(torch.from_numpy(np.load(self._bytes.path, mmap_mode="c")))

    def _numbers(self, stored: Tensor) -> Tensor:
        numbers = stored.view(self._dtype)
        return numbers.movedim(-1, 1) if numbers.ndim == 4 else numbers


def store_rows(path: Path, count: int, batches: Iterable[Tensor], device: torch.device, dtype: torch.dtype = torch.float32) -> StoredRows:
    """Batches [b, ...] that follow each other, `count` rows in all.

    Args:
        path: in the scratch folder of a stage. What lies there is of the same inputs: then no batch is asked for.
        device: where batches go that are read.

    Raises:
        PenumbraError: the disk is full.
    """
    if not path.exists():
        with replace(path) as temporary:
            _write(temporary, count, batches, dtype)
    return StoredRows(path, device, dtype)


def _write(target: Path, count: int, batches: Iterable[Tensor], dtype: torch.dtype) -> None:
    with open(target, "wb") as file:
        for batch in batches:
            rows = batch.movedim(1, -1) if batch.ndim == 4 else batch
            content = rows.to("cpu", dtype).contiguous().view(torch.uint8).numpy()
            if not file.tell():
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, *content.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(content)
