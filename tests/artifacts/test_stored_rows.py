"""What networks make of images, on the disk: in every place what a tensor gives, to the layout in memory; nothing is made twice."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penumbra.artifacts.rows import store_rows
from penumbra.errors import PenumbraError

CPU = torch.device("cpu")
SHAPES = {"latents": (4, 2, 3), "representations": (5,), "tokens": (7,), "images": (3, 4, 4)}
KINDS = {"latents": torch.float32, "representations": torch.float32, "tokens": torch.int64, "images": torch.uint8}


def made(count: int, name: str) -> torch.Tensor:
    """Random numbers, as a network makes them of images that lie channels last."""
    numbers = torch.from_numpy(np.random.default_rng(count).integers(0, 256, (count, *SHAPES[name]))).to(KINDS[name])
    if numbers.dtype.is_floating_point:
        numbers = numbers / 7
    return numbers.contiguous(memory_format=torch.channels_last) if numbers.ndim == 4 else numbers


@given(st.data(), st.sampled_from(sorted(SHAPES)), st.integers(2, 30), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_they_are_what_a_tensor_of_all_gives(tmp_path_factory, data, name, count, size):
    """Kernels depend on the layout, and so do last bits."""
    held = made(count, name)
    stored = store_rows(tmp_path_factory.mktemp("rows") / "x.npy", count, held.split(size), CPU, KINDS[name])
    rows = torch.tensor(data.draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=9)))
    assert stored.shape == held.shape and len(stored) == count and stored.device == CPU
    pairs = [(stored[rows], held[rows]), (stored.mapped(), held), *zip(stored.split(4), held.split(4), strict=True)]
    for read, kept in pairs:
        assert torch.equal(read, kept) and read.dtype == kept.dtype
        assert len(kept) == 1 or read.stride() == kept.stride()


@pytest.mark.parametrize("count", [3, 4099])
def test_a_deviation_of_what_is_mapped_is_that_of_a_tensor_to_the_last_bit(tmp_path, count):
    numbers = torch.randn(count, 8, 5, 7, generator=torch.Generator().manual_seed(count)).contiguous(memory_format=torch.channels_last)
    halves = [part[:, :4] for part in numbers.split(256)]  # as the means of posteriors: a half of the channels, in strides
    stored = store_rows(tmp_path / "x.npy", count, halves, CPU, torch.float64)
    assert stored.mapped().std(correction=0).item() == torch.cat(halves).double().std(correction=0).item()


def test_what_is_stored_is_not_made_again(tmp_path):
    held = made(5, "latents")
    store_rows(tmp_path / "x.npy", 5, held.split(2), CPU)
    again = store_rows(tmp_path / "x.npy", 5, (pytest.fail("made") for _ in range(1)), CPU)
    assert torch.equal(again[torch.arange(5)], held)


def test_a_job_killed_while_it_writes_leaves_nothing_that_the_next_one_takes(tmp_path):
    held = made(6, "tokens")

    def batches(dies):
        for number, batch in enumerate(held.split(2)):
            if dies and number == 2:
                raise KeyboardInterrupt
            yield batch

    with pytest.raises(KeyboardInterrupt):
        store_rows(tmp_path / "x.npy", 6, batches(True), CPU, torch.int64)
    assert not list(tmp_path.iterdir())
    assert torch.equal(store_rows(tmp_path / "x.npy", 6, batches(False), CPU, torch.int64)[torch.arange(6)], held)


def test_a_file_that_was_cut_is_named(tmp_path):
    stored = store_rows(tmp_path / "x.npy", 3, made(3, "latents").split(1), CPU)
    with open(tmp_path / "x.npy", "r+b") as file:
        file.truncate(file.seek(0, 2) - 5)
    assert stored[torch.tensor([0, 1])].shape == (2, 4, 2, 3)
    with pytest.raises(PenumbraError, match=r"x\.npy: ends before image 2"):
        stored[torch.tensor([2])]
