"""The unified score (GOOD eq. 9) against its definition, its limits, and what each mode may look at."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penumbra.benchmark import unified
from penumbra.benchmark.unified import Images, Setting
from penumbra.ranks import auroc
from synthetic_results import scores

KS = [50, 10, 100]
DISTANCES = st.lists(st.floats(0, 2, width=32), min_size=2, max_size=30).map(np.array)


def some(seed, centre, count=60):
    rng = np.random.default_rng(seed)
    return Images(rng.normal(centre, 1, count), np.abs(rng.normal(0.3 + 0.1 * centre, 0.05, count)))


def kl_by_counting(p_values, q_values, bins):
    """Independent: bins by arithmetic, the last one closed."""
    low = min([*p_values, *q_values])
    width = (max([*p_values, *q_values]) - low) / bins
    counts = []
    for values in (p_values, q_values):
        count = [1e-9] * bins
        for value in values:
            count[min(int((value - low) / width), bins - 1)] += 1
        counts.append([c / (len(values) + bins * 1e-9) for c in count])
    return sum(p * np.log(p / q) for p, q in zip(*counts, strict=True))


def test_per_set_is_the_papers_formula():
    inside, outside, validation = some(0, 0), some(1, 0.4), some(2, 0, 80)
    found = unified.unified(inside, outside, validation, Setting("per-set", 0.5, 10, 0.3))
    w = 1 - np.exp(-0.5 * kl_by_counting(outside.distance, validation.distance, 10))
    everything = [*validation.energy, *outside.energy]
    for images, score in zip((inside, outside), found[:2], strict=True):
        expected = []
        for energy, distance in zip(images.energy, images.distance, strict=True):
            scaled = (energy - min(everything)) / (max(everything) - min(everything) + 1e-12)
            expected.append(w * distance + (1 - w) * scaled)
        np.testing.assert_allclose(score, expected, rtol=1e-9)
    assert found[2] == pytest.approx(w)
    assert 0.05 < w < 0.99


def test_the_mixture_does_not_know_which_images_are_ood():
    inside, outside, validation = some(0, 0), some(1, 1.5), some(2, 0)
    setting = Setting("mixture", 0.5, 10, 0.3)
    found = unified.unified(inside, outside, validation, setting)
    rng = np.random.default_rng(3)
    order = rng.permutation(120)
    both = inside + outside
    parts = [Images(both.energy[order[part]], both.distance[order[part]]) for part in (slice(0, 50), slice(50, 120))]
    again = unified.unified(*parts, validation, setting)
    restored = np.empty(120)
    restored[order] = np.concatenate(again[:2])
    np.testing.assert_allclose(restored, np.concatenate(found[:2]))
    assert found[2] == pytest.approx(1 - np.exp(-0.5 * kl_by_counting(both.distance, validation.distance, 10)))


def test_per_set_knows_which_images_are_ood():
    """What the report must say: swapping the two sets changes every score."""
    one, other, validation = some(0, 0), some(1, 1.5), some(2, 0)
    setting = Setting("per-set", 0.5, 10, 0.3)
    assert not np.isclose(unified.unified(one, other, validation, setting)[0], unified.unified(other, one, validation, setting)[1]).any()


@pytest.mark.parametrize("mode", ["id-only", "fixed"])
def test_the_deployable_modes_look_at_no_other_test_image(mode):
    inside, outside, validation = some(0, 0), some(1, 3), some(2, 0)
    setting = Setting(mode, 0.5, 10, 0.3)
    together = np.concatenate(unified.unified(inside, outside, validation, setting)[:2])
    both = inside + outside
    far = Images(np.array([1e4]), np.array([1e4]))
    for place in (0, 59, 60, 119):
        one = Images(both.energy[[place]], both.distance[[place]])
        assert unified.unified(one, far, validation, setting)[0] == pytest.approx(together[place], rel=1e-12)


def test_the_weight_of_one_image_is_that_of_its_bin():
    reference = np.array([0.0, 0.1, 0.2, 0.3, 0.6, 1.0])  # two bins: [0, 0.5), [0.5, 1]
    kl = unified.own_divergence(np.array([0.49, 0.5, 1.0, 0.0]), reference, 2)
    np.testing.assert_allclose(unified.weight(kl, 0.5), 1 - np.sqrt([4 / 6, 2 / 6, 2 / 6, 4 / 6]), rtol=1e-6)


def test_outside_the_range_of_validation_an_image_has_the_weight_of_an_empty_bin():
    reference = np.array([0.2, 0.3, 0.8, 0.9])
    kl = unified.own_divergence(np.array([-1.0, 5.0, 0.55]), reference, 10)  # the last one in an empty bin
    np.testing.assert_allclose(kl, -np.log(1e-9 / (4 + 1e-8)))


@given(DISTANCES, DISTANCES, st.floats(0, 10), st.integers(2, 12))
def test_w_is_a_share(test, reference, a, bins):
    kl = unified.divergence(test, reference, bins)
    own = unified.own_divergence(test, reference, bins)
    assert kl >= 0 and (own >= 0).all()
    assert 0 <= unified.weight(kl, a) <= 1
    assert ((unified.weight(own, a) >= 0) & (unified.weight(own, a) <= 1)).all()


@given(st.floats(0, 30), st.floats(0, 30), st.floats(0.01, 5))
def test_w_grows_with_the_divergence(one, other, a):
    low, high = sorted((one, other))
    assert unified.weight(low, a) <= unified.weight(high, a)
    if high - low > 1e-3 and a * high < 20:
        assert unified.weight(low, a) < unified.weight(high, a)


@given(DISTANCES)
def test_equal_distances_leave_the_energy_alone(distances):
    assert unified.weight(unified.divergence(distances, distances, 10), 0.5) == pytest.approx(0, abs=1e-6)


@settings(max_examples=30)
@given(st.lists(st.integers(-160, 160).map(lambda eighths: eighths / 8), min_size=5, max_size=20, unique=True), st.integers(0, 1000))
def test_w_0_has_the_order_of_the_energy_and_w_1_is_the_distance(energies, seed):
    energy = np.array(energies, np.float64)
    distance = np.random.default_rng(seed).random(len(energy))
    images = Images(energy, distance)
    np.testing.assert_array_equal(unified.combine(images, 1.0, energy), distance)
    np.testing.assert_array_equal(np.argsort(unified.combine(images, 0.0, energy), kind="stable"), np.argsort(energy, kind="stable"))


@pytest.mark.parametrize(("weight", "score"), [(0.0, "energy"), (1.0, "knn")])
def test_fixed_weights_at_the_ends_measure_what_each_score_measures(weight, score):
    frame = scores(np.random.default_rng(0))
    table = unified.by_seed("good-all", frame, KS, Setting("fixed", 0.5, 10, weight), [0.5], curves=True)
    keys = ["set", "group", "seed"]
    fixed = table[(table["mode"] == "fixed") & (table.k == 50)].set_index(keys).auroc
    alone = table[(table["mode"] == score) & ((table.k == 50) | table.k.isna())].set_index(keys).auroc
    pd.testing.assert_series_equal(fixed, alone)


def test_a_point_on_the_curve_of_k_uses_that_column():
    frame = scores(np.random.default_rng(0))
    table = unified.by_seed("good-all", frame, KS, Setting("id-only", 0.5, 10, 0.5), [0.5], curves=True)
    found = table[(table["mode"] == "knn") & (table.k == 100) & (table.set == "noise") & (table.seed == 1)].auroc
    of_seed = frame[frame.seed == 1]
    inside, outside = (of_seed[(of_seed.group == group) & (of_seed.set == name)] for group, name in (("id", "id-test"), ("far", "noise")))
    assert found.tolist() == [pytest.approx(auroc(outside.knn_100.to_numpy(), inside.knn_100.to_numpy()))]


def test_curves_cost_rows_only_where_they_are_wanted():
    variants = unified.variants(KS, 0.5, [0.1, 0.5, 2], curves=True)
    assert len(variants) == len(set(variants))
    assert {k for mode, k, a in variants if mode == "per-set" and a == 0.5} == set(KS)
    assert {a for mode, k, a in variants if mode == "per-set" and k == 50} == {0.1, 0.5, 2}
    few = unified.variants(KS, 0.5, [0.1, 0.5, 2], curves=False)
    assert [mode for mode, *_ in few] == ["energy", "knn", *unified.MODES]


def test_every_density_of_the_histograms_has_area_1():
    plot = unified.histograms("good-all", scores(np.random.default_rng(0)), 50, Setting("per-set", 0.5, 10, 0.5), 20)
    areas = plot.groupby(["score", "set", "group"]).density.mean()
    np.testing.assert_allclose(areas, 1)
    assert len(areas) == 3 * 4 * 2
