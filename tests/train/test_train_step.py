"""train on real files: one batch for ID and outliers, the same bytes whole, in parts and after a kill, clear errors."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from training_files import ENERGY, contents

from penumbra import training
from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.images import read_pixels
from penumbra.augmentation import augment
from penumbra.errors import PenumbraError
from penumbra.models.resnet import Detector
from penumbra.stage import Params
from penumbra.train import loop, step, units
from penumbra.train.batches import outlier_batches
from penumbra.train.pool import choose


def test_it_writes_a_detector_for_each_seed_and_one_history(make_stage):
    stage = make_stage(["mid"])
    step.main(stage)
    assert set(contents(stage.write())) == {f"seed-{k}/{name}" for k in (1, 3) for name in ("config.json", "model.safetensors")} | {
        "history.csv"
    }
    history = pd.read_csv(stage.write() / "history.csv")
    assert list(history.columns) == ["seed", "epoch", "loss", "cross_entropy", "uncertainty", "val_accuracy"]
    assert history.seed.tolist() == [3, 3, 1, 1]
    np.testing.assert_allclose(history.loss, history.cross_entropy + 2 * history.uncertainty, rtol=1e-4)
    assert list(saved_seeds(stage.write())) == [1, 3]
    assert not (stage.scratch_root / stage.name).exists()


def test_whole_in_parts_and_resumed_it_gives_the_same_bytes(make_stage, monkeypatch):
    whole = make_stage(["mid"], "whole")
    step.main(whole)

    parts = make_stage(["mid"], "parts")
    for index in (1, 0):
        step.main(replace(parts, part=(index, 2)))
    assert not parts.write().exists()
    step.main(parts)

    killed = make_stage(["mid"], "killed")
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    real, calls = loop.accuracy, []

    def die_in_the_last_epoch_of_the_second_seed(*args):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(loop, "accuracy", die_in_the_last_epoch_of_the_second_seed)
    with pytest.raises(KeyboardInterrupt):
        step.main(killed)
    step.main(killed)
    assert len(calls) == 5
    assert contents(whole.write()) == contents(parts.write()) == contents(killed.write())


def test_the_selected_candidates_are_trained_on_whatever_the_order_of_the_selection(make_stage, monkeypatch):
    """make_stage writes the bands low, mid, mid, ... of the candidates, and the rows of the selection from the last to the first."""
    seen = []

    def stop(setting, seed, outliers, checkpoint):
        seen.append(outliers)
        raise KeyboardInterrupt

    monkeypatch.setattr(units, "train_detector", stop)
    stage = make_stage(["mid"])
    with pytest.raises(KeyboardInterrupt):
        step.main(stage)
    candidates = torch.from_numpy(read_pixels(stage.read("outliers/badood")))
    assert torch.equal(seen[0].pixels, candidates[[i for i in range(12) if i % 3]])
    assert seen[0].labels.tolist() == [-1] * 8  # whatever label the candidates carry


def test_id_images_and_outliers_share_every_batch(make_stage, monkeypatch):
    seen = []
    forward = Detector.forward_with_features

    def record(self, images):
        if self.training:
            seen.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Detector, "forward_with_features", record)
    step.main(make_stage(["mid"]))
    assert seen == [8 + 4] * (2 * 2 * (20 // 8))


def test_outliers_do_not_change_the_order_nor_the_augmentation_of_id_images():
    draws = torch.Generator().manual_seed(0)
    train = loop.Images(torch.randint(0, 255, (20, 16, 16, 3), generator=draws).to(torch.uint8), torch.arange(20) % 2)
    outliers = loop.Images(train.pixels[:9], torch.full((9,), -1))
    alone, mixed = (list(loop.batches(train, pool, Params(ENERGY), (0, 1, 2))) for pool in (None, outliers))
    for (images, labels, _), (both, both_labels, _) in zip(alone, mixed, strict=True):
        torch.testing.assert_close(images, both[: len(images)], rtol=0, atol=0)
        assert (both_labels[: len(labels)] == labels).all() and (both_labels[len(labels) :] == -1).all()


def test_without_outliers_it_is_a_classifier(make_stage):
    stage = make_stage(None, kinds=())
    step.main(stage)
    history = pd.read_csv(stage.write() / "history.csv")
    assert list(history.columns) == ["seed", "epoch", "loss", "cross_entropy", "val_accuracy"]
    np.testing.assert_array_equal(history.loss, history.cross_entropy)


@pytest.mark.parametrize(
    ("bands", "kinds", "message"),
    [
        (None, ("outliers",), r"must not read data/outliers, since train.detectors.badood-mid.bands is None"),
        ("all", ("outliers", "selections"), r"must not read data/selections, since train.detectors.badood-mid.bands is all"),
        ("random", ("outliers",), r"must read data/selections, since .* is random"),
        (["mid"], (), r"must read data/outliers"),
        (["high"], ("outliers", "selections"), r"none of 12 candidates is selected by bands high .*Move filter"),
    ],
)
def test_inputs_that_contradict_the_bands_are_refused(make_stage, bands, kinds, message):
    with pytest.raises(PenumbraError, match=message):
        step.main(make_stage(bands, kinds=kinds))


def test_a_diverging_training_stops_with_its_reason(make_stage):
    with pytest.raises(PenumbraError, match=r"train.recipes.own: in epoch \d+ the loss .* is \S+. Lower learning_rate"):
        step.main(make_stage(["mid"], learning_rate=1e30, epochs=6))


def test_bands_choose_their_candidates():
    band, draws = ["low", "mid", "high", "mid", "low"], torch.Generator().manual_seed(0)
    assert choose("all", None, 5, draws).tolist() == [0, 1, 2, 3, 4]
    assert choose(["low", "mid"], band, 5, draws).tolist() == [0, 1, 3, 4]
    drawn = [tuple(choose("random", band, 5, draws).tolist()) for _ in range(50)]
    assert {len(set(rows)) for rows in drawn} == {2} and len(set(drawn)) == 10  # all pairs of all five


def test_a_small_pool_is_drawn_with_replacement_and_a_large_one_in_whole_passes():
    draws = torch.Generator().manual_seed(0)
    small = outlier_batches(3, 8, draws)
    assert all(len(next(small)) == 8 for _ in range(5))
    large = outlier_batches(10, 4, draws)
    assert sorted(torch.cat([next(large) for _ in range(5)]).tolist()) == sorted(list(range(10)) * 2)


def test_augmentation_is_a_shift_over_a_reflected_border():
    pixels = torch.randint(0, 255, (6, 9, 9, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([5, 0, 0, 3] * 8)
    images = augment(pixels, rows, 2, False, torch.Generator().manual_seed(1))
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
    images = augment(pixels, torch.zeros(200, dtype=torch.long), 0, True, torch.Generator().manual_seed(0))
    plain = pixels[0].permute(2, 0, 1).float() / 255
    mirrored = sum(torch.equal(image, plain.flip(2)) for image in images)
    assert 60 < mirrored < 140 and mirrored + sum(torch.equal(image, plain) for image in images) == 200
