"""Tables of images as a source: those of this project, and anyone's in the same layout."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sections import spec

from penumbra.artifacts.images import ImageWriter, encode, read_pixels, read_table
from penumbra.artifacts.tables import write_parquet
from penumbra.errors import PenumbraError
from penumbra.prepare.pixels import load_pixels
from penumbra.prepare.record import read_source
from penumbra.prepare.step import main

COUNT = 7


@pytest.fixture
def outliers(tmp_path: Path) -> Path:
    """Outliers as a method writes them."""
    columns = {"sample_id": pa.string(), "label": pa.int64(), "scale": pa.float32()}
    draws = np.random.default_rng(0)
    with ImageWriter(tmp_path / "badood.parquet", columns, {}) as writer:
        for index in range(COUNT):
            pixels = draws.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            writer.add(encode(pixels), sample_id=f"badood/{index:06d}", label=index % 2, scale=0.05)
    return tmp_path / "badood.parquet"


def records(path, **options):
    return list(read_source(spec("parquet", path, **options), "world.test", 0))


def test_pixels_are_those_that_were_written(outliers):
    found = records(outliers)
    assert [record.source_id for record in found] == [f"badood/{index:06d}" for index in range(COUNT)]
    assert [record.class_name for record in found] == ["0", "1"] * 3 + ["0"]
    np.testing.assert_array_equal([load_pixels(record, 16) for record in reversed(found)], read_pixels(outliers)[::-1])


def test_a_selection_chooses_rows(outliers, tmp_path):
    write_parquet(tmp_path / "mid.parquet", pd.DataFrame({"sample_id": ["badood/000005", "badood/000002"]}), {})
    found = records(outliers, root=tmp_path / "mid.parquet")
    assert [record.source_id for record in found] == ["badood/000002", "badood/000005"]
    np.testing.assert_array_equal(load_pixels(found[1], 16), read_pixels(outliers)[5])


def test_classes_name_labels_and_a_column_may_too(outliers, tmp_path):
    assert [record.class_name for record in records(outliers, classes=["cat", "dog"])][:2] == ["cat", "dog"]
    assert {record.fault for record in records(outliers, classes=["cat"])} == {"", "label 1 is out of range: 1 classes"}
    table = pq.read_table(outliers)
    other = table.drop(["sample_id", "label", "scale"]).append_column("class", [["a_b", None] * 3 + ["c"]])
    pq.write_table(other.append_column("caption", [["", "said"] * 3 + [None]]), tmp_path / "other.parquet", row_group_size=3)
    found = records(tmp_path / "other.parquet")
    assert [(record.source_id, record.class_name, record.caption) for record in found][:2] == [
        ("000000", "a_b", "a b"),
        ("000001", None, "said"),
    ]
    np.testing.assert_array_equal([load_pixels(record, 16) for record in found], read_pixels(outliers))


@pytest.mark.parametrize(
    ("content", "root", "said"),
    [
        (b"no table", None, "cannot be read as a Parquet table"),
        (pd.DataFrame({"sample_id": ["x"]}), None, "has no column image"),
        (None, pd.DataFrame({"row": [1]}), r"root: .*selection.parquet has no column sample_id"),
        (None, b"no table", "selection.parquet cannot be read as a Parquet table"),
    ],
)
def test_what_is_no_such_table_is_told(outliers, tmp_path, content, root, said):
    for path, what in ((outliers, content), (tmp_path / "selection.parquet", root)):
        if isinstance(what, bytes):
            path.write_bytes(what)
        elif what is not None:
            write_parquet(path, what, {})
    with pytest.raises(PenumbraError, match=rf"prepare\.world\.test.*{said}"):
        records(outliers, root=None if root is None else tmp_path / "selection.parquet")


def test_a_damaged_image_is_set_aside_with_its_reason(outliers, tmp_path):
    rows = pq.read_table(outliers).to_pylist()
    rows[3]["image"]["bytes"] = b"words"
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(outliers)), tmp_path / "damaged.parquet")
    found = [str(load_pixels(record, 16)) for record in records(tmp_path / "damaged.parquet")]
    assert found[3].startswith("unreadable") and len(records(tmp_path / "damaged.parquet")) == COUNT


def test_outliers_of_another_experiment_become_a_set_of_the_world(make_stage, outliers):
    stage = make_stage(world={"theirs": spec("parquet", outliers, limit=5)})
    main(stage)
    found = read_table(stage.write("images/world")).to_pylist()
    assert len(found) == 5 and {row["set"] for row in found} == {"theirs"} and {row["label"] for row in found} == {-1}
    pixels = {row.tobytes() for row in read_pixels(outliers)}
    assert {row.tobytes() for row in read_pixels(stage.write("images/world"))} <= pixels
