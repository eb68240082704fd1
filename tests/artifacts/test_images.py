"""Parquet files of images: any tool opens them, memory stays flat, equal content gives equal bytes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penumbra.artifacts import images
from penumbra.artifacts.files import replace
from penumbra.artifacts.images import ImageWriter, decode, encode, iter_pixels, read_pixels, read_provenance, read_table
from penumbra.errors import PenumbraError

COLUMNS = {"sample_id": pa.string(), "label": pa.int64(), "representation": pa.list_(pa.float32())}
PROVENANCE = {"stage": "prepare", "params": {"seed": 0}, "versions": {"numpy": "2"}}


def pixels(count: int, size: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def write(path: Path, count: int) -> Path:
    with ImageWriter(path, COLUMNS, PROVENANCE) as writer:
        for index, picture in enumerate(pixels(count)):
            writer.add(encode(picture), f"p/{index}.png", sample_id=f"train/{index}", label=index, representation=[index, 0.5])
    return path


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_png_keeps_every_pixel(height: int, width: int, seed: int):
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert encode(picture).startswith(b"\x89PNG") and (decode(encode(picture)) == picture).all()


def test_rows_come_back_in_order_across_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(images, "ROW_GROUP", 8)
    path = write(tmp_path / "x.parquet", 20)
    assert pq.ParquetFile(path).num_row_groups == 3
    assert (read_pixels(path) == pixels(20)).all()
    assert [len(batch) for batch in iter_pixels(path, 6)] == [6, 6, 6, 2]
    table = read_table(path)
    assert table.column_names == list(COLUMNS) and table["label"].to_pylist() == list(range(20))
    assert read_table(path, ["label"]).column_names == ["label"]


def test_plain_pyarrow_and_pandas_read_the_layout_of_the_datasets_library(tmp_path: Path):
    path = write(tmp_path / "x.parquet", 3)
    schema = pq.read_schema(path)
    assert schema.names == ["image", *COLUMNS] and schema.field("image").type == images.IMAGE
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"} and features["label"] == {"dtype": "int64", "_type": "Value"}
    frame = pd.read_parquet(path)
    assert frame["image"][1]["path"] == "p/1.png" and (decode(frame["image"][1]["bytes"]) == pixels(3)[1]).all()


def test_file_says_how_it_was_made(tmp_path: Path):
    assert read_provenance(write(tmp_path / "x.parquet", 1)) == PROVENANCE
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    assert read_provenance(tmp_path / "foreign.parquet") == {}


def test_equal_content_gives_equal_bytes(tmp_path: Path):
    assert write(tmp_path / "a.parquet", 5).read_bytes() == write(tmp_path / "b.parquet", 5).read_bytes()


def test_empty_file_is_a_valid_table(tmp_path: Path):
    path = write(tmp_path / "x.parquet", 0)
    assert read_pixels(path).shape == (0, 0, 0, 3) and len(read_table(path)) == 0


@pytest.mark.parametrize("columns", [{}, {"label": 1, "lable": 1}])
def test_column_that_is_missing_or_was_not_declared_is_refused(tmp_path: Path, columns: dict):
    with ImageWriter(tmp_path / "x.parquet", {"label": pa.int64()}, {}) as writer, pytest.raises(ValueError, match="label|lable"):
        writer.add(b"", **columns)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's always full device")
def test_full_disk_keeps_the_old_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "x.parquet", 2)
    old = path.read_bytes()
    monkeypatch.setattr(images, "ROW_GROUP", 4)
    with pytest.raises(PenumbraError, match="the disk is full"), replace(path) as temporary:
        temporary.symlink_to("/dev/full")
        write(temporary, 50)
    assert path.read_bytes() == old


@pytest.mark.parametrize("content", [None, b"", b"PAR1 but not really"])
def test_missing_or_foreign_file_is_a_readable_error(tmp_path: Path, content: bytes | None):
    path = tmp_path / "x.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PenumbraError, match=r"x\.parquet: cannot be read as a Parquet table.*dvc repro"):
        read_table(path)


@given(st.integers(0, 9), st.integers(1, 10))
@settings(max_examples=20)
def test_rows_are_read_across_row_groups(tmp_path_factory, start: int, count: int):
    path, stop = tmp_path_factory.mktemp("range") / "images.parquet", min(start + count, 10)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(images, "ROW_GROUP", 4)
        write(path, 10)
    assert pq.ParquetFile(path).num_row_groups == 3
    assert (images.read_pixel_rows(path, range(start, stop)) == pixels(10)[start:stop]).all()
    rows = list(range(start, 10, count))
    assert (images.read_pixel_rows(path, rows) == pixels(10)[rows]).all()


def test_blocks_in_order_read_each_row_group_once_and_a_file_that_is_written_again_is_read_again(tmp_path, monkeypatch):
    path, read, read_row_group = tmp_path / "images.parquet", [], pq.ParquetFile.read_row_group
    monkeypatch.setattr(images, "ROW_GROUP", 4)
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda file, group, **kw: read.append(group) or read_row_group(file, group, **kw))
    write(path, 10)
    blocks = [images.read_pixel_rows(path, range(start, min(start + 3, 10))) for start in range(0, 10, 3)]
    assert (np.concatenate(blocks) == pixels(10)).all() and read == [0, 1, 2]
    with replace(path) as temporary:
        write(temporary, 9)
    assert (images.read_pixel_rows(path, [8]) == pixels(9)[8:9]).all() and read == [0, 1, 2, 2]
