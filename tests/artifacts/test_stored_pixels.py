"""Decoded images on the disk: what a tensor would give, whatever the row groups; memory stays flat; damage is named."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penumbra.artifacts import images, pixels
from penumbra.artifacts.images import ImageWriter, encode, read_pixels
from penumbra.artifacts.pixels import StoredPixels, store
from penumbra.errors import PenumbraError


def write(path: Path, count: int, group: int, size: tuple[int, int] = (4, 3), damaged: int | None = None) -> Path:
    """Random images in row groups of that many; `damaged` is the row of one whose bytes are cut."""
    rng = np.random.default_rng(count)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(images, "ROW_GROUP", group)
        with ImageWriter(path, {"label": pa.int64()}, {}) as writer:
            for row in range(count):
                content = encode(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
                writer.add(content[: len(content) // 2] if row == damaged else content, label=row)
    return path


@given(st.data(), st.integers(1, 30), st.integers(1, 12), st.integers(0, 30))
@settings(max_examples=25, deadline=None)
def test_batches_are_those_of_a_tensor(tmp_path_factory, data, count, group, more):
    folder = tmp_path_factory.mktemp("stored")
    first, second = write(folder / "first.parquet", count, group), write(folder / "second.parquet", more, group)
    wanted = sorted(data.draw(st.sets(st.integers(0, more - 1)))) if more else []
    held = torch.from_numpy(read_pixels(first))
    if wanted:
        held = torch.cat([held, torch.from_numpy(read_pixels(second)[wanted])])
    stored = store(folder / "pixels.npy", (first, None), (second, wanted))
    rows = torch.tensor(data.draw(st.lists(st.integers(0, len(held) - 1), max_size=9)), dtype=torch.long)
    assert stored.shape == held.shape and torch.equal(stored[rows], held[rows])
    if len(rows):
        again = torch.tensor(data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9)), dtype=torch.long)
        assert len(stored.take(rows)) == len(rows) and torch.equal(stored.take(rows)[again], held[rows][again])
        assert torch.equal(stored.take(rows).take(again)[torch.arange(len(again))], held[rows][again])


def test_an_empty_file_has_no_pixels(tmp_path):
    assert store(tmp_path / "pixels.npy", (write(tmp_path / "x.parquet", 0, 4), None)).shape == (0, 0, 0, 3)


def test_memory_is_that_of_row_groups_and_not_of_the_file(tmp_path):
    path = write(tmp_path / "x.parquet", 512, 8, (64, 64))
    whole = 512 * 64 * 64 * 3
    tracemalloc.start()
    stored = store(tmp_path / "pixels.npy", (path, None))
    stored[torch.arange(4)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert pq.ParquetFile(path).num_row_groups == 64 and len(stored) == 512
    assert peak < whole / 4


def test_what_is_stored_is_not_decoded_again(tmp_path, monkeypatch):
    path = write(tmp_path / "x.parquet", 5, 2)
    held = store(tmp_path / "pixels.npy", (path, None))[torch.arange(5)]
    monkeypatch.setattr(pixels, "decode_rows", lambda *_: pytest.fail("decoded"))
    assert torch.equal(store(tmp_path / "pixels.npy", (path, None))[torch.arange(5)], held)


def test_a_job_killed_while_it_decodes_leaves_nothing_that_the_next_one_takes(tmp_path, monkeypatch):
    path, real, calls = write(tmp_path / "x.parquet", 9, 2), pixels.decode_rows, []

    def die(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(pixels, "decode_rows", die)
    with pytest.raises(KeyboardInterrupt):
        store(tmp_path / "pixels.npy", (path, None))
    assert [file.name for file in tmp_path.iterdir()] == ["x.parquet"]
    assert torch.equal(store(tmp_path / "pixels.npy", (path, None))[torch.arange(9)], torch.from_numpy(read_pixels(path)))


def test_an_image_that_is_damaged_is_named(tmp_path):
    path = write(tmp_path / "x.parquet", 20, 6, damaged=13)
    for read in (lambda: store(tmp_path / "pixels.npy", (path, None)), lambda: read_pixels(path)):
        with pytest.raises(PenumbraError, match=r"x\.parquet: is damaged \(image of row 13: .+\). Run `penumbra doctor --verify`"):
            read()
    assert not (tmp_path / "pixels.npy").exists()
    rows = [row for row in range(20) if row != 13]
    assert len(store(tmp_path / "pixels.npy", (path, rows))) == 19  # nobody looks at it


def test_images_of_two_sizes_are_named(tmp_path):
    first, second = write(tmp_path / "x.parquet", 3, 4), write(tmp_path / "y.parquet", 3, 4, (5, 3))
    with pytest.raises(PenumbraError, match=r"y\.parquet: holds images of 5 x 3 pixels, beside others of 4 x 3"):
        store(tmp_path / "pixels.npy", (first, None), (second, None))


@pytest.mark.parametrize("left", [0, 3, 60, 128, 150])
def test_a_file_that_was_cut_before_it_is_opened_is_named(tmp_path, left):
    """In its header, or behind it."""
    store(tmp_path / "pixels.npy", (write(tmp_path / "x.parquet", 3, 4), None))
    os.truncate(tmp_path / "pixels.npy", left)
    with pytest.raises(PenumbraError, match=r"pixels\.npy: was cut\. Remove it and run again\."):
        store(tmp_path / "pixels.npy", (tmp_path / "x.parquet", None))


def test_a_file_that_was_cut_is_named(tmp_path):
    stored = store(tmp_path / "pixels.npy", (write(tmp_path / "x.parquet", 3, 4), None))
    with open(tmp_path / "pixels.npy", "r+b") as file:
        file.truncate(file.seek(0, 2) - 5)
    assert stored[torch.tensor([0, 1])].shape == (2, 4, 3, 3)
    with pytest.raises(PenumbraError, match=r"pixels\.npy: ends before image 2"):
        stored[torch.tensor([2])]


def test_who_reads_can_read_on_when_the_folder_is_gone(tmp_path):
    path = write(tmp_path / "x.parquet", 3, 4)
    stored = store(tmp_path / "pixels.npy", (path, None))
    (tmp_path / "pixels.npy").unlink()
    assert isinstance(stored, StoredPixels) and torch.equal(stored[torch.arange(3)], torch.from_numpy(read_pixels(path)))
