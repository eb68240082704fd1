"""Intervals of a study: what they cover, what they decide, Holm's correction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import false_discovery_control, ttest_1samp

from penumbra.benchmark.intervals import CONTRADICTED, HELD, UNDECIDED, Effect, effect, holm

SEEDS, TRAININGS = 5, 5


def study(rng, true=0.0, between=1.0, within=1.0):
    return [true + between * rng.normal() + within * rng.normal(size=TRAININGS) for _ in range(SEEDS)]


@pytest.mark.parametrize(("between", "within"), [(1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
def test_intervals_cover_the_true_effect_as_often_as_they_say(between, within):
    rng = np.random.default_rng(0)
    found = [effect(study(rng, 0.7, between, within)) for _ in range(2000)]
    assert np.mean([each.low <= 0.7 <= each.high for each in found]) == pytest.approx(0.95, abs=0.015)


def test_the_interval_is_students_of_the_means_of_generator_seeds():
    groups = study(np.random.default_rng(1), 0.5)
    found, exact = effect(groups), ttest_1samp([group.mean() for group in groups], 0)
    assert (found.low, found.high) == pytest.approx(tuple(exact.confidence_interval(0.95)))
    assert found.p == pytest.approx(exact.pvalue)


def test_an_effect_as_large_as_is_detectable_is_seen_four_times_in_five():
    rng = np.random.default_rng(1)
    detectable = np.mean([effect(study(rng)).detectable for _ in range(500)])
    seen = np.mean([effect(study(rng, detectable)).verdict == HELD for _ in range(1000)])
    assert seen == pytest.approx(0.8, abs=0.05)


def test_one_generator_seed_decides_nothing():
    found = effect([np.array([1.0, 1.1, 0.9])])
    assert found.value == pytest.approx(1) and np.isnan(found.low) and found.verdict == UNDECIDED


def test_the_verdict_is_where_the_interval_lies():
    assert Effect(1, 0.1, 1.9, 0.04, 1).verdict == HELD
    assert Effect(-1, -1.9, -0.1, 0.04, 1).verdict == CONTRADICTED
    assert Effect(0.5, -0.1, 1.1, 0.1, 1).verdict == UNDECIDED


@given(arrays(float, st.integers(1, 12), elements=st.floats(0, 1)))
def test_holm_lies_between_a_single_test_and_bonferroni(p):
    adjusted = holm(p)
    assert (adjusted >= p).all() and (adjusted <= np.minimum(1, p * len(p)) + 1e-15).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
    assert (adjusted >= false_discovery_control(p) - 1e-12).all()  # Benjamini and Hochberg's is never the stricter


def test_holm_by_hand_and_without_what_was_not_tested():
    adjusted = holm(np.array([0.04, np.nan, 0.01, 0.03]))
    assert adjusted == pytest.approx([0.06, np.nan, 0.03, 0.06], nan_ok=True)
