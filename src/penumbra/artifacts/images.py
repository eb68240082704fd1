"""Parquet tables of images in the layout that the `datasets` library reads: `image` = {bytes, path}."""

import functools
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from penumbra.errors import PenumbraError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
ROW_GROUP = 1024  # rows that are in memory at a time


class ImageWriter:
    """Stream rows to a Parquet file, a row group at a time: memory stays flat.

    Args:
        path: where to write. Use it inside `replace` for atomicity.
        columns: name -> Arrow type of the provenance columns, in order; `image` comes first by itself.
        provenance: JSON-able parameters and versions, kept in the schema metadata `penumbra`.
    """

    def __init__(self, path: str | os.PathLike, columns: dict[str, pa.DataType], provenance: dict):
        features = {"image": {"_type": "Image"}}
        features |= {name: {"dtype": str(kind), "_type": "Value"} for name, kind in columns.items() if not pa.types.is_nested(kind)}
        metadata = {
            "huggingface": json.dumps({"info": {"features": features}}),
            "penumbra": json.dumps(provenance, sort_keys=True),
        }
        self._columns = columns.keys()
        self._schema = pa.schema([("image", IMAGE), *columns.items()], metadata=metadata)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, image: bytes, path: str | None = None, /, **columns: Any) -> None:
        """Append one row: encoded image bytes (PNG or JPEG), its original path, its provenance (maybe with a column `path`).

        Raises:
            ValueError: a declared column is missing, or one was not declared.
        """
        if columns.keys() != self._columns:
            raise ValueError(f"columns {sorted(columns.keys() ^ self._columns)} are missing or were not declared")
        self._rows.append({"image": {"bytes": image, "path": path}, **columns})
        if len(self._rows) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()

    def __enter__(self) -> "ImageWriter":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None and self._rows:
            self._flush()
        self._writer.close()


def encode(pixels: np.ndarray, jpeg: int | None = None) -> bytes:
    """PNG bytes of uint8 pixels [H, W, 3], or JPEG bytes of quality `jpeg` (1..100)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, **({"format": "PNG"} if jpeg is None else {"format": "JPEG", "quality": jpeg}))
    return buffer.getvalue()


def decode(data: bytes) -> np.ndarray:
    """uint8 pixels [H, W, 3] of encoded image bytes."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def decode_rows(path: str | os.PathLike, images: pa.Array | pa.ChunkedArray, rows: Sequence[int]) -> np.ndarray:
    """uint8 pixels [b, H, W, 3] of b encoded images of one size.

    Args:
        path: the file that they are from.
        images: {bytes, path} each [b].
        rows: their places in the file [b].

    Raises:
        PenumbraError: one cannot be decoded; names its row.
    """
    pixels = []
    for row, image in zip(rows, images.to_pylist(), strict=True):
        try:
            pixels.append(decode(image["bytes"]))
        except MemoryError:
            raise
        except Exception as error:  # Pillow raises nearly anything of damaged images
            reason = "no picture" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())[:200]
            raise PenumbraError(f"{path}: is damaged (image of row {row}: {reason}). Run `penumbra doctor --verify`.") from error
    return np.stack(pixels)


def read_table(path: str | os.PathLike, columns: Sequence[str] | None = None) -> pa.Table:
    """Rows of an images or outliers file; without `columns`, every column but the pixels.

    Raises:
        PenumbraError: the file is missing or not Parquet.
    """
    try:
        if columns is None:
            columns = [name for name in pq.read_schema(path).names if name != "image"]
        return pq.read_table(path, columns=list(columns))
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise PenumbraError(f"{path}: cannot be read as a Parquet table ({error}). Run `dvc repro` to make it again.") from error


def iter_pixels(path: str | os.PathLike, batch_size: int = ROW_GROUP, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """uint8 pixels [b, H, W, 3] in file order. All images of a file have one size.

    Args:
        path: an images or outliers file of N rows.
        batch_size: most images in memory at a time.
        rows: mask [N] of the images that are wanted; the others are not decoded. None: all.

    Raises:
        PenumbraError: see `decode_rows`.
    """
    stop = 0
    for batch in pq.ParquetFile(path).iter_batches(batch_size, columns=["image"]):
        first, stop = stop, stop + len(batch)
        images, numbers = batch.column(0), np.arange(first, stop)
        if rows is not None:
            images, numbers = images.filter(pa.array(rows[first:stop])), numbers[rows[first:stop]]
        if len(images):
            yield decode_rows(path, images, numbers)


def read_pixels(path: str | os.PathLike) -> np.ndarray:
    """All pixels of a file, uint8 [N, H, W, 3] ([0, 0, 0, 3] for an empty file)."""
    batches = list(iter_pixels(path))
    return np.concatenate(batches) if batches else np.zeros((0, 0, 0, 3), np.uint8)


def read_pixel_rows(path: str | os.PathLike, rows: Sequence[int]) -> np.ndarray:
    """Pixels of one or more rows in ascending order, uint8 [N, H, W, 3]; only their row groups are read, once for blocks in order."""
    file, status = pq.ParquetFile(path), os.stat(path)
    version = (status.st_ino, status.st_mtime_ns)
    found, first = [], 0
    for group in range(file.num_row_groups):
        stop = first + file.metadata.row_group(group).num_rows
        wanted = [row - first for row in rows if first <= row < stop]
        if wanted:
            found += _row_group(os.fspath(path), group, version).take(wanted).to_pylist()
        first = stop
    return np.stack([decode(row["bytes"]) for row in found])


@functools.lru_cache(maxsize=2)  # a block may lie across two
def _row_group(path: str, group: int, version: tuple[int, int]) -> pa.ChunkedArray:
    """The encoded images of a row group; a file that was written again is another version."""
    return pq.ParquetFile(path).read_row_group(group, columns=["image"])["image"]


def read_provenance(path: str | os.PathLike) -> dict:
    """The parameters and versions that made a Parquet artifact."""
    return json.loads((pq.read_schema(Path(path)).metadata or {}).get(b"penumbra", b"{}"))
