"""Images that are read batch by batch train as images in memory do: the same batches in the same order, the same bytes."""

import threading

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_files import ENERGY, TRAIN, UNIFORM, contents, train, write_images

from penumbra.artifacts import images as files
from penumbra.artifacts.images import ImageWriter, encode, read_pixels
from penumbra.artifacts.pixels import store
from penumbra.errors import PenumbraError
from penumbra.train.losses.energy.loss import EnergyLoss
from penumbra.train.losses.energy.params import Recipe as Energy
from penumbra.train.losses.uniform.loss import UniformLoss
from penumbra.train.losses.uniform.params import Recipe as Uniform
from penumbra.train.network import images
from penumbra.train.network.batches import batches
from penumbra.train.network.images import Images
from penumbra.training import ahead


def both(folder, name, count, group, label=None):
    """The same images on the disk and in memory."""
    rng, path = np.random.default_rng(count), folder / f"{name}.parquet"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(files, "ROW_GROUP", group)
        with ImageWriter(path, {"label": pa.int64()}, {}) as writer:
            for row in range(count):
                writer.add(encode(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)), label=row)
    labels = torch.arange(count) % 3 if label is None else torch.full((count,), label)
    stored, held = store(folder / f"{name}.npy", (path, None)), torch.from_numpy(read_pixels(path))
    return [Images(pixels, labels, torch.arange(count) % 5) for pixels in (stored, held)]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 16), st.integers(2, 12), st.sampled_from(["energy", "paired", "unpaired"]))
@settings(max_examples=30, deadline=None)
def test_batches_are_those_of_images_in_memory(tmp_path_factory, inside, outside, group, batch_size, kind):
    folder = tmp_path_factory.mktemp("streamed")
    on_disk, in_memory = zip(both(folder, "id", inside, group), both(folder, "ood", outside, group, -1), strict=True)
    recipe = ENERGY if kind == "energy" else UNIFORM | {"paired": kind == "paired"}
    p = (Energy if kind == "energy" else Uniform)(**recipe | {"batch_size": batch_size})
    loss = EnergyLoss if kind == "energy" else UniformLoss
    for epoch in range(2):
        pairs = zip(ahead(batches(*on_disk, p, loss, (0, 1, epoch))), batches(*in_memory, p, loss, (0, 1, epoch)), strict=True)
        for streamed, held in pairs:
            assert torch.equal(streamed.images, held.images) and streamed.images.stride() == held.images.stride()
            assert torch.equal(streamed.labels, held.labels) and torch.equal(streamed.paired, held.paired)


@pytest.mark.parametrize(("loss", "kit", "bands"), [("energy", (), ["random"]), ("uniform", ("reconstruction",), ["mid"])])
def test_detectors_have_the_bytes_of_those_trained_from_memory(make_stage, monkeypatch, loss, kit, bands):
    stage = make_stage(bands, "streamed", kit=kit, loss=loss)
    train(stage)

    def hold(_, *parts):
        pixels = [read_pixels(file) if rows is None else read_pixels(file)[rows] for file, rows in parts]
        return torch.from_numpy(np.concatenate(pixels))

    monkeypatch.setattr(images, "store", hold)
    held = make_stage(bands, "held", kit=kit, loss=loss)
    train(held)
    assert contents(stage.write()) == contents(held.write())


def test_both_seeds_read_what_was_decoded_once_and_nothing_of_it_is_left(make_stage, monkeypatch):
    decoded = []
    real = files.decode_rows
    monkeypatch.setattr("penumbra.artifacts.pixels.decode_rows", lambda *these: decoded.append(len(these[2])) or real(*these))
    stage = make_stage(["mid"])
    train(stage)
    assert sorted(decoded) == sorted(2 * [TRAIN, 6, 12])  # of each file a block for the size, then all
    assert not (stage.scratch_root / stage.name).exists()


def test_a_damaged_candidate_is_named(make_stage, monkeypatch):
    stage, rows = make_stage(["mid"]), iter(range(12))
    monkeypatch.setattr("training_files.encode", lambda pixels: b"cut" if next(rows) == 7 else encode(pixels))
    write_images(stage.read("outliers/badood"), 12, label=0, sources=10)
    with pytest.raises(PenumbraError, match=r"outliers/badood.parquet: is damaged \(image of row 7: no picture\)"):
        train(stage)


def test_one_batch_is_made_while_another_is_used_and_errors_arrive():
    made, main = [], threading.get_ident()

    def source():
        for number in range(4):
            made.append(threading.get_ident())
            yield number
        raise PenumbraError("the disk is gone")

    found = []
    with pytest.raises(PenumbraError, match="the disk is gone"):
        for number in ahead(source()):
            found.append(number)
            assert len(made) <= number + 2
    assert found == [0, 1, 2, 3] and main not in made


def test_a_loop_that_is_left_ends_its_thread():
    before = threading.active_count()
    for _ in ahead(iter(range(1, 100))):
        break
    assert threading.active_count() == before
