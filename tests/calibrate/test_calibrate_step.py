"""Measures against their definitions; the calibration file on real files."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit

import penumbra.calibrate.step as step
from penumbra.artifacts.tables import read_json
from penumbra.calibrate.measures import cross_fitted, measures, reliability
from penumbra.calibrate.params import Calibrate
from penumbra.calibrators import CALIBRATORS, Calibrator, fit
from penumbra.errors import PenumbraError
from penumbra.stage import Params, Stage


def test_measures_are_their_definitions_for_classes_of_one_size():
    probability, is_ood = np.array([0.1, 0.2, 0.7, 0.9, 0.9, 1.0]), np.array([False, True, False, True, True, False])
    found = measures(probability, is_ood, 5)
    bins = [[0], [1], [2], [3, 4, 5]]  # 0.2 opens the second bin, 1.0 belongs to the last
    ece = sum(len(b) / 6 * abs(probability[b].mean() - is_ood[b].mean()) for b in bins)
    assert found["ece"] == pytest.approx(ece)
    assert found["brier"] == pytest.approx(((probability - is_ood) ** 2).mean())
    sure = np.array([0.9, 0.2, 0.3, 0.9, 0.9, 1e-6])
    assert found["nll"] == pytest.approx(-np.log(sure).mean())
    assert [row["count"] for row in reliability(probability, is_ood, 5)] == [1, 1, 1, 3]


def test_perfectly_calibrated_probabilities_have_a_small_error():
    rng = np.random.default_rng(0)
    probability = rng.random(200_000)
    assert measures(probability, rng.random(200_000) < probability, 10)["ece"] < 0.01


def test_no_image_is_judged_by_a_map_that_saw_it():
    """Isotonic regression knows its own images by heart; random labels show whether it is asked about them."""
    rng = np.random.default_rng(0)
    scores, is_ood = rng.normal(size=400), rng.random(400) < 0.5
    seen = measures(fit("isotonic", scores, is_ood).probability(scores), is_ood, 10)
    unseen = measures(cross_fitted("isotonic", scores, is_ood, 5, 0), is_ood, 10)
    assert seen["brier"] < 0.25 < unseen["brier"]


def test_more_folds_than_images_are_refused():
    with pytest.raises(PenumbraError, match="folds = 5: must be at most 3, the number of calibration OOD images"):
        cross_fitted("beta", np.arange(20.0), np.arange(20) > 16, 5, 0)


LABELS = np.arange(60) % 3


class FakeJudge:
    """Log-odds of two judges by file, and classes of ID validation.

    Args:
        ood: mean log-odds of calibration OOD.
        right: share of ID validation whose class it knows.
    """

    def __init__(self, ood=1.0, right=2 / 3):
        self.ood, self.right = ood, right

    def log_odds(self, path, score):
        inside = path.stem == "val"
        rng = np.random.default_rng(int(inside))
        both = torch.from_numpy(rng.normal(-1 if inside else self.ood, 4, (60 if inside else 90, 2)))
        return both if score == "energy" else 2 * both

    def judged(self, path, score):
        classes = np.where(np.arange(60) < round(60 * self.right), LABELS, (LABELS + 1) % 3)
        return self.log_odds(path, score), torch.from_numpy(classes)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that calibrates a fake judge by a score, and returns the stage."""
    pd.DataFrame({"label": LABELS}).to_parquet(tmp_path / "val.parquet")

    def of(judge, score="energy"):
        monkeypatch.setattr(step, "Judge", lambda directory, judges, device: judge)
        params = {
            "common": {"seed": 0},
            "calibrate": {"badood-all": Calibrate(judges="mean", score=score, calibrator="beta", bins=10, folds=5)},
        }
        reads = {f"images/{name}": tmp_path / f"{name}.parquet" for name in ("val", "calibration")} | {"detectors/badood-all": "unused"}
        writes = {"calibration/badood-all": tmp_path / "badood-all.json"}
        stage = Stage("calibrate", "badood-all", Params(params), {}, reads, writes, tmp_path / "scratch")
        step.main(stage)
        return stage

    return of


@pytest.mark.parametrize("score", ["energy", "phi"])
def test_the_calibration_file_holds_what_reproduces_the_maps(run, score):
    stage = run(FakeJudge(), score)
    content = read_json(stage.write())
    assert (content["judges"], content["score"], content["calibrator"]) == ("mean", score, "beta")
    assert list(content["measures"]) == list(content["reliability"]) == ["uncalibrated", *CALIBRATORS]
    assert sum(row["count"] for row in content["reliability"]["beta"]) == 150
    parts = [FakeJudge().log_odds(stage.read(f"images/{name}"), score).mean(1).numpy() for name in ("val", "calibration")]
    raw, is_ood = np.concatenate(parts), np.repeat([False, True], [60, 90])
    assert content["measures"]["uncalibrated"] == pytest.approx(measures(expit(raw), is_ood, 10))
    assert np.mean(parts[0] <= content["accepts"]) == pytest.approx(0.95, abs=0.02)
    for name in CALIBRATORS:
        read = Calibrator.from_json(name, content["calibrators"][name]).probability(raw)
        np.testing.assert_array_equal(read, fit(name, raw, is_ood).probability(raw))
        held_out = cross_fitted(name, raw, is_ood, 5, 0)
        assert content["measures"][name] == pytest.approx(measures(held_out, is_ood, 10))
        assert content["reliability"][name] == reliability(held_out, is_ood, 10)
    assert content["measures"]["beta"]["nll"] < content["measures"]["uncalibrated"]["nll"]


def test_a_detector_that_guesses_is_named_with_the_remedy(run, tmp_path):
    with pytest.raises(PenumbraError, match="class of 35% of 60 ID validation images, and guessing knows 33%: it has not learnt.*epochs"):
        run(FakeJudge(right=0.35))
    with pytest.raises(PenumbraError, match="it has not learnt"):
        run(FakeJudge(right=0.45))  # within three standard errors, .061 each
    assert not (tmp_path / "badood-all.json").exists()


def test_scores_that_say_nothing_are_named_with_the_remedy(run, tmp_path):
    with pytest.raises(PenumbraError, match="OOD score no higher than ID validation.*class of 100%.*other images in prepare.calibration"):
        run(FakeJudge(ood=-9.0, right=1.0))
    assert not (tmp_path / "badood-all.json").exists()


def test_of_few_images_more_than_chance_is_enough():
    """Of three images, two of one class, no accuracy lies three standard errors above 2/3."""
    assert step.check_learnt("calibrate@x", np.array([True, True, True]), 2 / 3) == 1
    with pytest.raises(PenumbraError, match="it has not learnt"):
        step.check_learnt("calibrate@x", np.array([True, True, False]), 2 / 3)
