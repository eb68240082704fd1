"""Calibration maps: maximum likelihood, monotone, exact for saturated scores, clear about what cannot be fitted."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, log_expit

from penumbra.calibrators import CALIBRATORS, Calibrator, fit
from penumbra.errors import PenumbraError


def beta_draws(a, b, c, count=60_000, seed=0):
    """Scores whose P(OOD) is exactly mu_beta(s; a, b, c)."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(0, 3, count)
    return log_odds, rng.random(count) < expit(a * log_expit(log_odds) - b * log_expit(-log_odds) + c)


def overlapping(seed=0, count=300):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(-1, 1, count), rng.normal(1, 2, 2 * count)]), np.repeat([False, True], [count, 2 * count])


@pytest.mark.parametrize(("a", "b", "c"), [(1.0, 1.0, 0.0), (0.5, 2.0, 0.7), (2.0, 0.3, -1.0), (0.0, 1.5, 0.5)])
def test_beta_calibration_recovers_known_parameters(a, b, c):
    log_odds, is_ood = beta_draws(a, b, c)
    prior = np.log(is_ood.sum() / (~is_ood).sum())  # fitting under a uniform prior takes the sampled odds out of c
    fitted = fit("beta", log_odds, is_ood).parameters
    np.testing.assert_allclose([fitted["a"], fitted["b"], fitted["c"]], [a, b, c - prior], atol=0.1)


def likelihood(features, is_ood):
    weight = np.where(is_ood, 0.5 / is_ood.sum(), 0.5 / (~is_ood).sum())
    return lambda w: -weight @ log_expit(np.where(is_ood, 1, -1) * (features @ w))


@pytest.mark.parametrize("seed", range(6))
def test_beta_calibration_is_the_constrained_maximum_likelihood_fit(seed):
    log_odds, is_ood = overlapping(seed)
    log_odds = log_odds + [0, 4, -4][seed % 3]  # where one of the two features is nearly constant, a constraint binds
    s = expit(log_odds)
    features = np.stack([np.log(s), -np.log(1 - s), np.ones_like(s)], axis=1)
    loss = likelihood(features, is_ood)
    starts = [(1, 1, 0), (0, 2, 1), (2, 0, -1)]
    bounds = [(0, None), (0, None), (None, None)]
    other = min(minimize(loss, start, method="SLSQP", bounds=bounds, options={"ftol": 1e-14, "maxiter": 2000}).fun for start in starts)
    fitted = fit("beta", log_odds, is_ood).parameters
    assert fitted["a"] >= 0 and fitted["b"] >= 0
    assert loss(np.array(list(fitted.values()))) <= other + 1e-9


@pytest.mark.parametrize(("name", "columns"), [("temperature", 1), ("platt", 2)])
def test_temperature_and_platt_are_maximum_likelihood_fits(name, columns):
    log_odds, is_ood = overlapping()
    features = np.stack([log_odds, np.ones_like(log_odds)], axis=1)[:, :columns]
    expected = minimize(likelihood(features, is_ood), np.ones(columns), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14}).x
    np.testing.assert_allclose(list(fit(name, log_odds, is_ood).parameters.values()), expected, atol=1e-5)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_saturated_scores_keep_their_order_and_value(name):
    """In float64 sigmoid(40) is 1 and sigmoid(-800) is 0; their log-odds are not lost."""
    log_odds = np.array([-900.0, -800.0, -60.0, -20.0, 30.0, 40.0, 50.0, 60.0])
    is_ood = np.array([False, False, False, True, False, True, True, True])
    probability = fit(name, log_odds, is_ood).probability(log_odds)
    assert np.isfinite(probability).all() and (np.diff(probability) >= 0).all()
    if name != "isotonic":
        assert probability[7] > probability[4]


@pytest.mark.parametrize("name", ["beta", "temperature", "platt"])
def test_separable_classes_give_a_finite_fit(name):
    log_odds, is_ood = np.array([-9.0, -8.5, -8.0, 8.0, 9.0]), np.array([False, False, False, True, True])
    calibrator = fit(name, log_odds, is_ood)
    assert all(abs(value) < 1e3 for value in calibrator.parameters.values())
    assert (calibrator.probability(log_odds)[is_ood] > 0.6).all() and (calibrator.probability(log_odds)[~is_ood] < 0.4).all()


@pytest.mark.parametrize("name", ["beta", "platt"])
def test_separable_classes_are_fitted_to_platts_targets(name):
    """Two scores, so that the maps reach both targets exactly: 1 / (3 + 2) for three ID images, 1 - 1 / (2 + 2) for two OOD images."""
    log_odds, is_ood = np.array([-3.0, -3.0, -3.0, 3.0, 3.0]), np.array([False, False, False, True, True])
    np.testing.assert_allclose(fit(name, log_odds, is_ood).probability([-3.0, 3.0]), [0.2, 0.75], atol=1e-6)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_repeating_the_images_of_one_class_changes_nothing(name):
    """Uniform class prior: the sizes of the two sets do not matter."""
    log_odds, is_ood = overlapping(count=50)
    more = np.concatenate([log_odds, log_odds[is_ood], log_odds[is_ood]])
    labels = np.concatenate([is_ood, np.ones(2 * is_ood.sum(), bool)])
    grid = np.linspace(-6, 6, 50)
    np.testing.assert_allclose(fit(name, more, labels).probability(grid), fit(name, log_odds, is_ood).probability(grid), atol=1e-6)


@pytest.mark.parametrize("name", CALIBRATORS)
@settings(max_examples=15)
@given(
    scores=st.lists(st.floats(-50, 50), min_size=6, max_size=30, unique=True),
    labels=st.lists(st.booleans(), min_size=30, max_size=30),
    grid=st.lists(st.floats(-1000, 1000), min_size=2, max_size=20),
)
def test_every_map_is_non_decreasing_into_the_unit_interval_and_survives_json(name, scores, labels, grid):
    is_ood = np.array([True, False, *labels[: len(scores) - 2]])
    calibrator = fit(name, scores, is_ood)
    again = Calibrator.from_json(name, json.loads(json.dumps(calibrator.to_json(), allow_nan=False)))
    probability = again.probability(np.sort(grid))
    np.testing.assert_array_equal(probability, calibrator.probability(np.sort(grid)))
    assert (np.diff(probability) >= -1e-12).all()
    assert ((probability >= 0) & (probability <= 1)).all()


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_score_that_ranks_ood_below_id_is_not_turned_round(name):
    log_odds, is_ood = overlapping()
    probability = fit(name, -log_odds, is_ood).probability(np.linspace(-5, 5, 20))
    assert (np.diff(probability) >= 0).all()


@pytest.mark.parametrize(
    ("log_odds", "is_ood", "message"),
    [
        ([0.0, 1.0], [True, True], "2 OOD and 0 ID images"),
        ([0.0, 1.0], [False, False], "0 OOD and 2 ID images"),
        ([2.0, 2.0], [False, True], "all 2 scores are 2"),
        ([0.0, np.nan, np.inf], [False, True, True], "2 of 3 scores are not finite, the first in row 1"),
    ],
)
def test_what_cannot_be_calibrated_is_said(log_odds, is_ood, message):
    with pytest.raises(PenumbraError, match=message):
        fit("beta", log_odds, is_ood)


def test_an_unknown_calibrator_is_named():
    with pytest.raises(PenumbraError, match="'vector' is unknown. Use one of beta"):
        fit("vector", [0.0, 1.0], [False, True])
