"""Whitening, k-means and filtering against other programs and against loops."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from penumbra.train.losses.udg import groups
from penumbra.train.losses.udg.groups import filtered, grouped, weights, whitened


def features(count=40, width=6, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=draws) @ torch.randn(width, width, generator=draws) + 3


def angles(points):
    """Inner products of all pairs, which no sign of a direction changes."""
    return (points @ points.T).numpy()


@pytest.mark.parametrize("dimensions", [2, 6, 50])
def test_whitening_is_that_of_principal_components(dimensions):
    found = whitened(features(), dimensions)
    expected = PCA(min(dimensions, 6), whiten=True).fit_transform(features().double().numpy())
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert found.shape == expected.shape and found.dtype == torch.float32
    np.testing.assert_allclose(angles(found), expected @ expected.T, atol=1e-5)


def test_directions_without_variance_are_left_out():
    one = features(width=3)
    found = whitened(torch.cat([one, 2 * one, torch.full((40, 2), 7.0)], 1), 8)
    assert found.shape == (40, 3)
    np.testing.assert_allclose(angles(found), angles(whitened(torch.cat([one, 2 * one], 1), 8)), atol=1e-4)
    constant = whitened(torch.ones(5, 3), 3)
    assert constant.shape == (5, 0) and grouped(constant, 4).tolist() == [0] * 5


def test_groups_are_those_of_lloyds_algorithm(monkeypatch):
    monkeypatch.setattr(groups, "BLOCK", 7)  # several blocks, and a smaller last one
    points = features(60, 4)
    torch.manual_seed(5)
    found = grouped(points, 8)
    torch.manual_seed(5)
    first = points[torch.randperm(60)[:8]].numpy()
    expected = KMeans(8, init=first, n_init=1, max_iter=groups.ROUNDS, tol=0, algorithm="lloyd").fit(points.numpy())
    np.testing.assert_array_equal(found.numpy(), expected.labels_)


def test_no_more_groups_than_images_and_an_empty_one_keeps_its_centre():
    torch.manual_seed(0)
    assert sorted(grouped(features(3), 10).tolist()) == [0, 1, 2]
    torch.manual_seed(0)
    assert set(grouped(torch.ones(6, 2), 3).tolist()) == {0}  # of equal centres the first takes all; the others stay, and are finite


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2)), min_size=1, max_size=30), st.sampled_from([0.0, 0.4, 0.5, 0.8, 1.0]))
def test_a_pure_group_gives_its_class_to_its_unlabelled_images(rows, purity):
    members = [(0, 2), *rows]  # some image is labelled
    found = filtered(torch.tensor([group for group, _ in members]), torch.tensor([label for _, label in members]), purity)
    for (group, label), new in zip(members, found.tolist(), strict=True):
        inside = [its for other, its in members if other == group]
        counts = Counter(its for its in inside if its >= 0)
        most = max(counts.values(), default=0)
        if label >= 0:
            assert new == label
        elif most > purity * len(inside):
            assert counts[new] == most
        else:
            assert new == -1


def test_weights_are_inverse_roots_of_sizes_with_mean_one_over_groups():
    found = weights(torch.tensor([0, 0, 0, 0, 3, 2, 2]))  # group 1 is empty
    scale = 3 / (1 / 2 + 1 + 1 / 2**0.5)
    np.testing.assert_allclose(found.numpy(), np.array([0.5] * 4 + [1] + [0.5**0.5] * 2) * scale, rtol=1e-6)
