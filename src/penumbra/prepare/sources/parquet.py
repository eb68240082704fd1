"""Images of a Parquet table, such as outliers that another experiment has made."""

import io
import os
import threading
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from penumbra.errors import PenumbraError
from penumbra.prepare.pixels import FORMATS
from penumbra.prepare.record import Record, caption_of, existing, faulty
from penumbra.stage import Params

KEYS = ("sample_id", "label", "class", "caption")  # columns beside the image, of which a table may lack any
LOCK = threading.Lock()  # images are decoded in several threads, and each row group is read once


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """A table in the layout of the `datasets` library, in which `image` is {bytes, path}: data/images, data/outliers, or anyone's.

    `root` names a second table whose column `sample_id` says which rows are read: data/selections/METHOD/BAND.parquet, for one; None:
    all. `classes` names the labels 0, 1, ...; None takes the column `class`, or the labels themselves, of which negative ones are "no
    class".
    """
    path = existing(spec.path, key)
    wanted = None if spec.root is None else set(_column(existing(spec.root, key), "sample_id", key))
    file, number = _opened(path, key), 0
    schema = file.schema_arrow
    if "image" not in schema.names or wanted is not None and "sample_id" not in schema.names:
        lacking = "sample_id, by which root chooses rows" if "image" in schema.names else "image"
        raise PenumbraError(f"prepare.{key}.path: {path} has no column {lacking}. Name another table.")
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, columns=[name for name in KEYS if name in schema.names])
        for place in range(file.metadata.row_group(group).num_rows):
            row = {name: rows[name][place].as_py() for name in rows.column_names}
            source_id = str(row.get("sample_id", f"{number:06d}"))
            number += 1
            if wanted is None or source_id in wanted:
                yield _record(source_id, row, spec.classes, partial(_image, os.fspath(path), path.stat().st_mtime_ns, group, place))


def _record(source_id: str, row: dict, classes: list[str] | None, load: partial) -> Record:
    label = row.get("label") if isinstance(row.get("label"), int) else None
    if classes is not None and (label is None or not 0 <= label < len(classes)):
        return faulty(source_id, None, f"label {label} is out of range: {len(classes)} classes")
    by_label = str(label) if label is not None and label >= 0 else None
    name = classes[label] if classes is not None else row.get("class") or by_label
    return Record(source_id, name, load, row.get("caption") or caption_of(name or ""))


def _image(path: str, version: int, group: int, place: int) -> Image.Image:
    with LOCK:
        images = _images(path, version, group)
    return Image.open(io.BytesIO(images[place].as_py()["bytes"]), formats=FORMATS)


@lru_cache(maxsize=2)  # images that are read at a time may lie across two groups
def _images(path: str, version: int, group: int) -> pa.ChunkedArray:
    return pq.ParquetFile(path).read_row_group(group, columns=["image"])["image"]


def _opened(path: Path, key: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise PenumbraError(f"prepare.{key}: {path} cannot be read as a Parquet table ({error}). Name another file.") from error


def _column(path: Path, column: str, key: str) -> list:
    file = _opened(path, key)
    if column not in file.schema_arrow.names:
        raise PenumbraError(f"prepare.{key}.root: {path} has no column {column}, by which it would choose rows. Name another table.")
    return file.read([column])[column].to_pylist()
