"""Sources: ID images of several files in their order, their pixels, and what a row says of its own."""

import numpy as np
import pyarrow as pa
import pytest

from penumbra.artifacts.images import ImageWriter, encode
from penumbra.stage import Params, Stage
from penumbra.synthesize.sources import Image, Source, read_images, read_source_pixels, spread

COUNTS = {"train": 5, "test": 3}


def pixels(split, row):
    return np.full((4, 4, 3), 10 * row + (100 if split == "test" else 0), np.uint8)


@pytest.fixture
def stage(tmp_path):
    for split, count in COUNTS.items():
        with ImageWriter(tmp_path / f"{split}.parquet", {"sample_id": pa.string(), "label": pa.int64()}, {}) as writer:
            for row in range(count):
                writer.add(encode(pixels(split, row)), sample_id=f"{split}/{row}", label=row % 2)
    reads = {f"images/{split}": tmp_path / f"{split}.parquet" for split in COUNTS}
    return Stage("synthesize", "own", Params({"common": {"seed": 7, "grey": False}}), {}, reads, {}, tmp_path / "scratch")


@pytest.mark.parametrize("splits", [["train"], ["train", "test"], ["test", "train"], []])
def test_images_are_those_of_the_splits_in_the_order_of_their_files(stage, splits):
    expected = [Image(split, row, f"{split}/{row}", row % 2) for split in splits for row in range(COUNTS[split])]
    assert read_images(stage, splits) == expected


@pytest.mark.parametrize("chosen", [[0], [1, 3], [4, 5], [0, 2, 6, 7]])
def test_pixels_are_those_of_the_sources_even_with_gaps_and_across_files(stage, chosen):
    images = read_images(stage, ["train", "test"])
    sources = [Source(images[row], index) for index, row in enumerate(chosen)]
    expected = np.stack([pixels(source.image.split, source.image.row) for source in sources])
    assert (read_source_pixels(stage, sources) == expected).all()


def test_a_row_says_its_own_name_and_where_it_comes_from(stage):
    source = Source(Image("test", 2, "test/2", 1), 12)
    assert source.provenance(stage) == {"sample_id": "own/000012", "source_id": "test/2", "label": 1, "split": "test", "seed": 7}


@pytest.mark.parametrize(("count", "wanted", "rows"), [(10, 3, {0, 3, 6}), (2, 5, {0, 1}), (4, 0, set()), (6, 6, set(range(6)))])
def test_shown_rows_are_spread_over_all(count, wanted, rows):
    assert spread(count, wanted) == rows
