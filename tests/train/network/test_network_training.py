"""train on real files: one batch for ID and outliers, the same bytes whole, in parts and after a kill, clear errors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from training_files import ENERGY, SIZES, contents, train, write_images

from killed_training import killed
from penumbra import training
from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.images import read_pixels, read_table
from penumbra.artifacts.tables import write_parquet
from penumbra.augmentation import augment
from penumbra.errors import PenumbraError
from penumbra.models.resnet import Detector
from penumbra.train.inputs import selected
from penumbra.train.losses.energy.loss import EnergyLoss
from penumbra.train.losses.energy.params import Recipe
from penumbra.train.network import loop, seeds
from penumbra.train.network.batches import batches, outlier_batches
from penumbra.train.network.images import Images
from penumbra.train.pool import draw


def test_it_writes_a_detector_for_each_seed_and_one_history(make_stage):
    stage = make_stage(["mid"])
    train(stage)
    assert set(contents(stage.write())) == {f"seed-{k}/{name}" for k in (1, 3) for name in ("config.json", "model.safetensors")} | {
        "history.csv"
    }
    history = pd.read_csv(stage.write() / "history.csv")
    assert list(history.columns) == ["seed", "epoch", "loss", "cross_entropy", "uncertainty", "val_accuracy", "steps"]
    assert history.seed.tolist() == [3, 3, 1, 1]
    np.testing.assert_allclose(history.loss, history.cross_entropy + 2 * history.uncertainty, rtol=1e-4)
    assert list(saved_seeds(stage.write())) == [1, 3]
    assert not (stage.scratch_root / stage.name).exists()


def test_whole_in_parts_and_resumed_it_gives_the_same_bytes(make_stage, monkeypatch):
    whole = make_stage(["mid"], "whole")
    train(whole)

    parts = make_stage(["mid"], "parts")
    for index in (1, 0):
        train(replace(parts, part=(index, 2)))
    assert not parts.write().exists()
    train(parts)

    resumed = make_stage(["mid"], "killed")
    calls = killed(monkeypatch, loop, "accuracy", 4, lambda: train(resumed))  # in the last epoch of the second seed
    train(resumed)
    assert len(calls) == 5
    assert contents(whole.write()) == contents(parts.write()) == contents(resumed.write())


def test_the_selected_candidates_are_trained_on_whatever_the_order_of_the_selection(make_stage, monkeypatch):
    seen = []

    def stop(setting, seed, outliers, checkpoint):
        seen.append(outliers)
        raise KeyboardInterrupt

    monkeypatch.setattr(seeds, "train_detector", stop)
    stage = make_stage(["mid"])
    with pytest.raises(KeyboardInterrupt):
        train(stage)
    candidates = torch.from_numpy(read_pixels(stage.read("outliers/badood")))
    assert torch.equal(seen[0].batch(torch.arange(8))[0], candidates[[i for i in range(12) if i % 3]])
    assert seen[0].labels.tolist() == [-1] * 8  # whatever label the candidates carry


def test_id_images_and_outliers_share_every_batch(make_stage, monkeypatch):
    seen = []
    forward = Detector.forward_with_features

    def record(self, images):
        if self.training:
            seen.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Detector, "forward_with_features", record)
    train(make_stage(["mid"]))
    assert seen == [8 + 4] * (2 * 2 * (20 // 8))


def test_outliers_do_not_change_the_order_nor_the_augmentation_of_id_images():
    draws = torch.Generator().manual_seed(0)
    train = Images(torch.randint(0, 255, (20, 16, 16, 3), generator=draws).to(torch.uint8), torch.arange(20) % 2)
    outliers = Images(train.pixels[:9], torch.full((9,), -1))
    alone, mixed = (list(batches(train, pool, Recipe(**ENERGY), EnergyLoss, (0, 1, 2))) for pool in (None, outliers))
    for (images, labels, *_), (both, both_labels, *_) in zip(alone, mixed, strict=True):
        torch.testing.assert_close(images, both[: len(images)], rtol=0, atol=0)
        assert (both_labels[: len(labels)] == labels).all() and (both_labels[len(labels) :] == -1).all()


@pytest.mark.parametrize("recipe", [{"loss": "energy"}, {"loss": "uniform", "reconstructed": False}])
def test_without_outliers_it_is_a_classifier(make_stage, recipe):
    stage = make_stage(["all"], method="none", **recipe)
    train(stage)
    history = pd.read_csv(stage.write() / "history.csv")
    assert list(history.columns) == ["seed", "epoch", "loss", "cross_entropy", "val_accuracy", "steps"]
    np.testing.assert_array_equal(history.loss, history.cross_entropy)


def test_with_random_bands_each_seed_has_as_many_as_mid_out_of_all(make_stage, monkeypatch):
    seen = []

    def record(setting, seed, outliers, checkpoint):
        seen.append(outliers)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return loop.Detector(**SIZES, classes=2), training.History()

    monkeypatch.setattr(seeds, "train_detector", record)
    stage = make_stage(["random"])
    with pytest.raises(KeyboardInterrupt):
        train(stage)
    candidates = torch.from_numpy(read_pixels(stage.read("outliers/badood")))
    shown = [outliers.batch(torch.arange(len(outliers)))[0] for outliers in seen]
    taken = [[i for i in range(12) if any(torch.equal(candidates[i], image) for image in images)] for images in shown]
    assert [len(rows) for rows in taken] == [8, 8] and taken[0] != taken[1]
    assert set(taken[0] + taken[1]) & {0, 3, 6, 9}


# Which candidates


@pytest.mark.parametrize(
    ("bands", "rows", "count"),
    [
        (["all"], range(12), 12),
        (["mid"], [1, 2, 4, 5, 7, 8, 10, 11], 8),
        (["low", "mid"], range(12), 12),
        (["mid", "high"], [1, 2, 4, 5, 7, 8, 10, 11], 8),
        (["random"], range(12), 8),
        (["third"], range(4, 8), 4),
    ],
)
def test_bands_name_their_candidates_in_the_order_of_the_file(make_stage, bands, rows, count):
    assert selected(make_stage(bands)) == (list(rows), count)


def test_the_method_none_has_no_candidate(make_stage):
    assert selected(make_stage(["all"], method="none")) == ([], 0)


def test_a_selection_of_other_candidates_is_refused(make_stage):
    stage = make_stage(["mid"])
    write_parquet(stage.read("selections/badood/mid"), pd.DataFrame({"sample_id": ["badood/000001", "sona/000001"]}), {})
    with pytest.raises(PenumbraError, match=r"mid.parquet: sona/000001 is no candidate of .*badood.parquet. Run `dvc repro`"):
        selected(stage)


def test_bands_without_a_candidate_are_refused(make_stage):
    with pytest.raises(PenumbraError, match=r"badood.parquet: high holds none of 12 candidates. Move filter.badood.mid"):
        train(make_stage(["high"]))
    with pytest.raises(PenumbraError, match=r"upper holds none of 12 candidates. Move filter.badood.upper"):
        train(make_stage(["upper"]))
    stage = make_stage(["random"])
    frame = read_table(stage.read("selections/badood/random")).to_pandas()
    write_parquet(stage.read("selections/badood/random"), frame.assign(band="low"), {})
    with pytest.raises(PenumbraError, match="random holds none of 12 candidates"):
        selected(stage)


def test_a_file_without_candidates_is_refused_whatever_the_bands(make_stage):
    stage = make_stage(["all"])
    write_images(stage.read("outliers/badood"), 0)
    frame = read_table(stage.read("selections/badood/all")).to_pandas()
    write_parquet(stage.read("selections/badood/all"), frame[:0], {})
    with pytest.raises(PenumbraError, match=r"badood.parquet: holds no candidate"):
        train(stage)


def test_a_selection_that_is_not_declared_is_not_read(make_stage):
    stage = make_stage(["low", "mid"])
    del stage.reads["selections/badood/mid"]
    with pytest.raises(PenumbraError, match="reads 0 files named 'selections/badood/mid'"):
        selected(stage)


def test_a_draw_is_all_or_as_many_as_are_asked_for_in_ascending_order():
    draws = torch.Generator().manual_seed(0)
    assert draw([1, 3, 8], 3, draws).tolist() == draw([1, 3, 8], 9, draws).tolist() == [1, 3, 8]
    drawn = [tuple(draw([0, 1, 3, 7, 9], 2, draws).tolist()) for _ in range(200)]
    assert {len(set(rows)) for rows in drawn} == {2} and len(set(drawn)) == 10  # all pairs of all five
    assert all(rows == tuple(sorted(rows)) for rows in drawn)


def test_a_diverging_training_stops_with_its_reason(make_stage):
    with pytest.raises(PenumbraError, match=r"train.recipes.own: in epoch \d+ the loss .* is \S+. Lower learning_rate"):
        train(make_stage(["mid"], learning_rate=1e30, epochs=6))


def test_a_small_pool_is_drawn_with_replacement_and_a_large_one_in_whole_passes():
    draws = torch.Generator().manual_seed(0)
    small = outlier_batches(3, 8, draws)
    assert all(len(next(small)) == 8 for _ in range(5))
    large = outlier_batches(10, 4, draws)
    assert sorted(torch.cat([next(large) for _ in range(5)]).tolist()) == sorted(list(range(10)) * 2)


def test_augmentation_is_a_shift_over_a_reflected_border():
    pixels = torch.randint(0, 255, (6, 9, 9, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([5, 0, 0, 3] * 8)
    images = augment(pixels[rows], 2, False, torch.Generator().manual_seed(1))
    assert images.is_contiguous(memory_format=torch.channels_last)
    padded = torch.nn.functional.pad(pixels.permute(0, 3, 1, 2).float() / 255, (2, 2, 2, 2), mode="reflect")
    shifts = set()
    for row, image in zip(rows.tolist(), images, strict=True):
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(padded[row, :, y : y + 9, x : x + 9], image)]
        assert len(found) == 1
        shifts.add(found[0])
    assert len(shifts) > 10


def test_half_of_the_images_are_mirrored():
    pixels = torch.arange(4 * 4 * 3, dtype=torch.uint8).reshape(1, 4, 4, 3)
    images = augment(pixels.expand(200, -1, -1, -1), 0, True, torch.Generator().manual_seed(0))
    plain = pixels[0].permute(2, 0, 1).float() / 255
    mirrored = sum(torch.equal(image, plain.flip(2)) for image in images)
    assert 60 < mirrored < 140 and mirrored + sum(torch.equal(image, plain) for image in images) == 200
