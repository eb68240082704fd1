"""MCM and NegLabel against loops over their definitions, saturated softmaxes and all."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penumbra import labels
from penumbra.errors import PenumbraError


def share(*given):
    return labels.neglabel_share(labels.neglabel_log_odds(*given))


def features_of(count, width=6, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def loop_neglabel(features, texts, negatives, order, temperature):
    """One minus the ID labels' share of a softmax, image by image and group by group, in float64."""
    unit = lambda rows: [row / np.linalg.norm(row) for row in rows.double().numpy()]  # noqa: E731
    texts, negatives, result = unit(texts), unit(negatives), []
    for image in unit(features):
        shares = []
        for group in order.tolist():
            id_part = sum(np.exp(image @ text / temperature) for text in texts)
            shares.append(1 - id_part / (id_part + sum(np.exp(image @ negatives[row] / temperature) for row in group)))
        result.append(np.mean(shares))
    return np.array(result)


def test_mcm_is_the_negative_log_of_the_highest_softmax_of_cosines():
    cosines = torch.rand(20, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    probability = np.exp(cosines.numpy() / 0.3) / np.exp(cosines.numpy() / 0.3).sum(1, keepdims=True)
    np.testing.assert_allclose(labels.mcm(cosines, 0.3), -np.log(probability.max(1)), rtol=1e-12)


@pytest.mark.parametrize("block", [2**22, 40, 1])
def test_the_grouped_score_is_a_loop_over_images_and_groups(monkeypatch, block):
    monkeypatch.setattr(labels, "LOGITS_BLOCK", block)
    features, texts, negatives = features_of(7), features_of(3, seed=1), features_of(13, seed=2)
    order = labels.grouped(13, 4, torch.Generator().manual_seed(0))
    expected = loop_neglabel(features, texts, negatives, order, 0.2)
    np.testing.assert_allclose(share(features, texts, negatives, order, 0.2), expected, rtol=1e-5)


def test_log_odds_are_those_of_the_score():
    features, texts, negatives = features_of(7), features_of(3, seed=1), features_of(12, seed=2)
    order = labels.grouped(12, 4, torch.Generator().manual_seed(0))
    expected = loop_neglabel(features, texts, negatives, order, 0.2)
    np.testing.assert_allclose(
        labels.neglabel_log_odds(features, texts, negatives, order, 0.2), np.log(expected / (1 - expected)), rtol=1e-4
    )


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.05, 1), st.floats(0.01, 1000), st.integers(1, 6))
def test_it_lies_between_0_and_1_and_lengths_do_not_matter(seed, temperature, length, groups):
    features, texts, negatives = features_of(4, seed=seed), features_of(3, seed=seed + 1), features_of(13, seed=seed + 2)
    order = labels.grouped(13, groups, torch.Generator().manual_seed(seed))
    score = share(features, texts, negatives, order, temperature)
    assert ((score > 0) & (score < 1)).all()
    longer = share(features * length, texts, negatives * length, order, temperature)
    torch.testing.assert_close(longer, score, rtol=1e-3, atol=1e-12)


def test_it_does_not_depend_on_who_else_is_in_the_batch():
    features, texts, negatives = features_of(50), features_of(3, seed=1), features_of(12, seed=2)
    order = labels.grouped(12, 3, torch.Generator().manual_seed(0))
    together = share(features, texts, negatives, order, 0.1)
    alone = torch.cat([share(row, texts, negatives, order, 0.1) for row in features.flip(0).split(1)]).flip(0)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=0)
    assert share(features[:0], texts, negatives, order, 0.1).shape == (0,)


def test_low_temperatures_neither_overflow_nor_tie():
    """Differences of the sums' logarithms are about 300 there: exp overflows float32, and 1 - share is 0 even in float64."""
    negatives = torch.eye(4)
    features = torch.tensor([[1.0, -0.9], [1.0, -1.0], [-1.0, 1.0], [-0.9, 1.0]])
    features = torch.cat([features, torch.zeros(4, 2)], dim=1)
    order = torch.tensor([[0]])
    odds = labels.neglabel_log_odds(features, negatives[1:2], negatives[:1], order, 0.005)
    cosine = torch.nn.functional.normalize(features, dim=1)
    torch.testing.assert_close(odds, ((cosine[:, 0] - cosine[:, 1]) / 0.005).double(), rtol=1e-5, atol=0)
    assert odds.unique().numel() == 4 and odds[1].item() > 250 and odds[2].item() < -250
    shares = share(features, negatives[1:2], negatives[:1], order, 0.0005)
    assert ((shares > 0) & (shares < 1)).all()  # where float64 would end, too


def test_the_last_labels_are_dropped_before_the_others_are_permuted():
    order = labels.grouped(17, 5, torch.Generator().manual_seed(3))
    assert order.shape == (5, 3)
    assert sorted(order.flatten().tolist()) == list(range(15))
    assert order.flatten().tolist() != list(range(15))


def test_fewer_negative_labels_than_groups_are_refused():
    assert labels.grouped(4, 4, torch.Generator()).shape == (4, 1)
    with pytest.raises(PenumbraError, match="3 negative labels are too few for 4 groups"):
        labels.grouped(3, 4, torch.Generator())
