"""Scores against their definitions, exact where a softmax saturates; the registry, and what reading it costs."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.special import expit

from penumbra.artifacts.outputs import Outputs
from penumbra.calibrators import fit
from penumbra.errors import PenumbraError
from penumbra.score.params import Score as Parameters
from penumbra.scores import ASKED, SCORES, names
from penumbra.scores.base import Bank

PARAMETERS = Parameters(knn_k=3, knn_more=[7, 1], calibrator="platt", more={})

GEN = {"score": "gen", "gamma": 0.1, "classes": None}


def outputs_of(count, seed=0, clip=False):
    draws = torch.Generator().manual_seed(seed)
    logits, features, concepts = (torch.randn(count, width, generator=draws, dtype=torch.float64) * 3 for width in (6, 4, 6))
    odds = torch.randn(count, generator=draws, dtype=torch.float64)
    return Outputs(logits, features, concepts / 20, odds) if clip else Outputs(logits, features)


def fitted(name, clip=False):
    score = SCORES[name](PARAMETERS)
    train, val, calibration = (outputs_of(count, seed, clip) for seed, count in enumerate((10, 8, 9), start=1))
    last_layer = torch.zeros(6, 4), torch.zeros(6)
    score.fit(Bank(train, torch.zeros(10), val, torch.zeros(8), calibration, *last_layer, mcm_temperature=0.5 if clip else None))
    return score


def test_names_are_those_of_the_columns_and_each_kind_of_detector_has_its_own():
    assert names("network") == ("msp", "max_logit", "energy", "knn", "confidence")
    assert names("clip") == names() == (*names("network"), "mcm", "neglabel")


def test_a_score_that_is_asked_for_comes_last_under_the_name_that_it_is_given():
    more = {"mine": ASKED["react"].Parameters(score="react", quantile=0.9, images="val"), "other": ASKED["gen"].Parameters(**GEN)}
    assert names("network", more) == (*names("network"), "mine", "other") and names("clip", more) == (*names("clip"), "other")


def test_the_names_are_read_without_torch():
    code = (
        "import sys; import penumbra.scores, penumbra.experiment.schema; sys.exit(bool({'torch', 'numpy', 'scipy'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", names())
def test_a_score_is_a_finite_number_for_each_image_whoever_else_is_scored(name):
    score, images = fitted(name, clip=True), outputs_of(20, clip=True)
    scores = score(images)
    assert scores.shape == (20,) and scores.isfinite().all()
    some = Outputs(*(getattr(images, field)[5:8] for field in ("logits", "features", "concepts", "log_odds")))
    torch.testing.assert_close(score(some), scores[5:8], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(score.columns(images)[name], scores, rtol=0, atol=0)


def test_scores_of_logits_are_their_definitions():
    images = outputs_of(50)
    logits = images.logits.numpy()
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(fitted("msp")(images), -np.log(probability.max(1)), rtol=1e-12)
    np.testing.assert_allclose(fitted("max_logit")(images), -logits.max(1))
    np.testing.assert_allclose(fitted("energy")(images), -np.log(np.exp(logits).sum(1)))


def test_scores_of_clip_detectors_are_their_definitions():
    images = outputs_of(50, clip=True)
    concepts = np.exp(images.concepts.numpy() / 0.5)
    np.testing.assert_allclose(fitted("mcm", clip=True)(images), -np.log(concepts.max(1) / concepts.sum(1)), rtol=1e-12)
    np.testing.assert_allclose(fitted("neglabel", clip=True)(images), expit(images.log_odds.numpy()))


@pytest.mark.parametrize("clip", [False, True])
def test_the_confidence_is_calibrated_on_validation_and_calibration_ood_alone(clip):
    raw = [o.log_odds if clip else -torch.logsumexp(o.logits, 1) for o in (outputs_of(8, 2, clip), outputs_of(9, 3, clip))]
    calibrator = fit("platt", np.concatenate(raw), np.repeat([False, True], [8, 9]))
    images = outputs_of(20, clip=clip)
    odds = images.log_odds if clip else -torch.logsumexp(images.logits, 1)
    np.testing.assert_allclose(fitted("confidence", clip)(images), calibrator.probability(odds))


def test_neighbours_of_one_search_are_those_of_a_search_each():
    images, train = outputs_of(20), outputs_of(10, 1)
    unit = lambda rows: rows.numpy() / np.linalg.norm(rows.numpy(), axis=1, keepdims=True)  # noqa: E731
    distances = np.sort(np.linalg.norm(unit(images.features)[:, None] - unit(train.features)[None], axis=2), axis=1)
    columns = fitted("knn").columns(images)
    assert list(columns) == ["knn", "knn_7", "knn_1"]
    for name, k in {"knn": 3, "knn_7": 7, "knn_1": 1}.items():
        np.testing.assert_allclose(columns[name], distances[:, k - 1], rtol=1e-12)


@pytest.mark.parametrize(("key", "values"), [("knn_k", {"knn_k": 11}), ("knn_more", {"knn_more": [2, 11]})])
def test_more_neighbours_than_training_images_name_the_parameter(key, values):
    score = SCORES["knn"](PARAMETERS.model_copy(update=values))
    bank = outputs_of(10)
    with pytest.raises(PenumbraError, match=rf"score\.{key} = 11: must be at most 10"):
        score.fit(Bank(bank, torch.zeros(10), bank, torch.zeros(10), bank, torch.zeros(6, 4), torch.zeros(6), None))
