"""Metrics of OOD detection against scikit-learn, closed forms and each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from penumbra.benchmark.metrics import METRICS, evaluate, roc
from penumbra.errors import PenumbraError
from penumbra.ranks import accepted, auroc, counts

tied = arrays(np.float64, st.integers(1, 40), elements=st.integers(-4, 4).map(float))
distinct = arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e6, 1e6))
scores = st.one_of(tied, distinct)


def by_sklearn(inside: np.ndarray, outside: np.ndarray) -> dict[str, float]:
    """The same metrics from scikit-learn, with every operating point kept."""
    label = np.r_[np.zeros(len(inside)), np.ones(len(outside))]
    score = np.r_[inside, outside]
    result = {}
    for name, positive, sign in (("fpr95_ood_tpr", label, 1), ("fpr95_id_tpr", 1 - label, -1)):
        fpr, tpr, _ = roc_curve(positive, sign * score, drop_intermediate=False)
        result[name] = fpr[np.argmax(tpr >= 0.95)]
    result["auroc"] = roc_auc_score(label, score)
    result["aupr_out"] = average_precision_score(label, score)
    result["aupr_in"] = average_precision_score(1 - label, -score)
    return result


@given(scores, scores)
@settings(max_examples=200)
def test_equal_to_scikit_learn_with_and_without_ties(inside, outside):
    ours, theirs = evaluate(inside, outside), by_sklearn(inside, outside)
    assert set(ours) == set(METRICS)
    for metric in METRICS:
        assert ours[metric] == pytest.approx(theirs[metric], abs=1e-12), metric


@given(tied, tied)
@settings(max_examples=100)
def test_auroc_is_the_probability_that_ood_scores_higher_with_ties_as_half(inside, outside):
    pairs = outside[:, None] - inside[None]
    assert evaluate(inside, outside)["auroc"] == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)), abs=1e-12)


@given(tied, tied)
@settings(max_examples=100)
def test_unchanged_by_a_strictly_increasing_map_of_the_scores(inside, outside):
    assert evaluate(inside, outside) == evaluate(np.exp(inside / 2) + 3, np.exp(outside / 2) + 3)


@given(scores, scores)
@settings(max_examples=100)
def test_swapping_id_and_ood_swaps_the_conventions(inside, outside):
    straight, swapped = evaluate(inside, outside), evaluate(-outside, -inside)
    assert straight["fpr95_id_tpr"] == swapped["fpr95_ood_tpr"]
    assert straight["aupr_in"] == swapped["aupr_out"]
    assert straight["auroc"] == pytest.approx(swapped["auroc"], abs=1e-12)


def test_perfect_separation():
    assert evaluate(np.arange(50), np.arange(100, 130)) == {"fpr95_id_tpr": 0, "fpr95_ood_tpr": 0, "auroc": 1, "aupr_in": 1, "aupr_out": 1}


def test_all_scores_tied_say_nothing():
    result = evaluate(np.zeros(30), np.zeros(10))
    assert result == {"fpr95_id_tpr": 1, "fpr95_ood_tpr": 1, "auroc": 0.5, "aupr_in": 0.75, "aupr_out": 0.25}


def test_exactly_95_percent_recall_is_enough():
    inside = np.arange(100.0)
    result = evaluate(inside, np.array([94.0, 94.5, 95.0]))
    assert result["fpr95_id_tpr"] == pytest.approx(1 / 3)  # threshold 94 accepts 95 of 100 ID images, and the OOD image tied with it


def test_conventions_differ_on_skewed_scores():
    """A tenth of ID scores like the far end of OOD: few ID are rejected for 95% of OOD, yet 95% of ID accept nearly all OOD."""
    inside = np.r_[np.linspace(0, 1, 900), np.linspace(9.9, 10, 100)]
    outside = np.linspace(5, 10, 1000)
    result = evaluate(inside, outside)
    assert result["fpr95_ood_tpr"] == pytest.approx(0.1)
    assert result["fpr95_id_tpr"] > 0.98


def test_no_operating_point_is_dropped_between_groups_of_equal_size():
    """With dropped collinear points the answer would be 1."""
    inside, outside = np.repeat(np.arange(20.0), 5), np.repeat(np.arange(20.0), 5)
    assert evaluate(inside, outside)["fpr95_ood_tpr"] == 0.95


def test_thresholds_run_from_nothing_to_everything_and_equal_scores_cross_together():
    inside, outside = counts(np.array([0.0, 2]), np.array([1.0, 2, 2]))
    assert (inside.tolist(), outside.tolist()) == ([1, 0, 1], [0, 1, 2])
    assert accepted(outside[::-1]).tolist() == [0, 2, 3, 3]
    assert accepted(inside[::-1]).tolist() == [0, 1, 1, 2]


def by_thresholds(inside: np.ndarray, outside: np.ndarray) -> dict[str, float]:
    """The same metrics, each from a sort of its own and images counted threshold by threshold."""

    def points(positive, negative):
        thresholds = np.unique(np.r_[positive, negative])[::-1]
        return [np.r_[0, [(scores >= threshold).sum() for threshold in thresholds]] for scores in (positive, negative)]

    def fpr95(positive, negative):
        tp, fp = points(positive, negative)
        return fp[np.argmax(tp / len(positive) >= 0.95)] / len(negative)

    def precision(positive, negative):
        tp, fp = points(positive, negative)
        return np.sum(np.diff(tp) * tp[1:] / (tp[1:] + fp[1:])) / len(positive)

    tp, fp = points(outside, inside)
    return {
        "fpr95_id_tpr": fpr95(-inside, -outside),
        "fpr95_ood_tpr": fpr95(outside, inside),
        "auroc": np.sum(np.diff(fp) * (tp[1:] + tp[:-1])) / (2 * len(inside) * len(outside)),
        "aupr_in": precision(-inside, -outside),
        "aupr_out": precision(outside, inside),
    }


@given(scores, scores)
@settings(max_examples=200)
def test_one_sort_gives_exactly_what_a_sort_for_each_metric_gives(inside, outside):
    assert evaluate(inside, outside) == by_thresholds(inside, outside)
    assert auroc(outside, inside) == evaluate(inside, outside)["auroc"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("positive", "negative"), [([], [1.0, 2.0]), ([1.0], []), ([], [])])
def test_an_auroc_of_nothing_is_refused_and_not_warned_of(positive, negative):
    with pytest.raises(PenumbraError, match=f"there are {len(positive)} and {len(negative)}"):
        auroc(np.array(positive), np.array(negative))


@given(tied, tied)
@settings(max_examples=50)
def test_area_under_the_drawn_roc_is_auroc(inside, outside):
    grid = np.linspace(0, 1, 100_001)
    assert np.trapezoid(roc(inside, outside, grid), grid) == pytest.approx(evaluate(inside, outside)["auroc"], abs=1e-4)


def test_drawn_roc_takes_the_upper_end_of_a_vertical_step():
    assert roc(np.array([0.0, 1.0]), np.array([0.5, 2.0]), np.array([0.0, 0.25, 0.5, 1.0])).tolist() == [0.5, 0.5, 1.0, 1.0]
