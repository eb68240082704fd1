"""OOD scores against their definitions, exact where a softmax saturates; score step on real files."""

import numpy as np
import pytest
import torch

from penumbra import scores
from penumbra.errors import PenumbraError


def test_scores_are_their_definitions():
    logits = torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    probability = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    np.testing.assert_allclose(scores.msp(logits), -np.log(probability.max(1)), rtol=1e-12)
    np.testing.assert_allclose(scores.max_logit(logits), -logits.numpy().max(1))
    np.testing.assert_allclose(scores.energy(logits), -np.log(np.exp(logits.numpy()).sum(1)))


def test_a_saturated_softmax_makes_no_ties():
    """In float64 the softmax of all of these is 1."""
    logits = torch.tensor([[margin, 0.0, 0.0] for margin in (40.0, 50.0, 100.0, 300.0, 700.0)], dtype=torch.float64)
    assert (torch.softmax(logits, 1)[:, 0] == 1).all()
    assert (scores.msp(logits).diff() < 0).all() and (scores.msp(logits) > 0).all()


def test_equal_logits_are_the_least_confident():
    torch.testing.assert_close(scores.msp(torch.zeros(2, 4)), torch.full((2,), 4.0).log())


@pytest.mark.parametrize("blocks", [(1024, 65536), (3, 7)])
@pytest.mark.parametrize("k", [1, 5, 40])
def test_knn_is_the_distance_to_the_kth_neighbour(monkeypatch, blocks, k):
    monkeypatch.setattr(scores, "QUERY_BLOCK", blocks[0])
    monkeypatch.setattr(scores, "BANK_BLOCK", blocks[1])
    draws = torch.Generator().manual_seed(0)
    features, bank = torch.randn(11, 8, generator=draws), torch.randn(40, 8, generator=draws)
    expected = []
    for query in features.double().numpy():
        distances = [np.linalg.norm(query / np.linalg.norm(query) - row / np.linalg.norm(row)) for row in bank.double().numpy()]
        expected.append(sorted(distances)[k - 1])
    np.testing.assert_allclose(scores.knn(features, bank, k), expected, rtol=1e-5)


def test_knn_distance_to_itself_is_zero():
    bank = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(scores.knn(bank, bank, 1), torch.zeros(10))


def test_more_neighbours_than_training_images_are_refused():
    with pytest.raises(PenumbraError, match="score.knn_k = 11: must be at most 10"):
        scores.knn(torch.ones(1, 4), torch.ones(10, 4), 11)


@pytest.mark.parametrize("block", [65536, 7])
def test_several_neighbours_of_one_search_are_those_of_a_search_each(monkeypatch, block):
    monkeypatch.setattr(scores, "BANK_BLOCK", block)
    draws = torch.Generator().manual_seed(0)
    features, bank = torch.randn(11, 8, generator=draws), torch.randn(40, 8, generator=draws)
    together = scores.neighbours(features, bank, {"one": [5], "more": [40, 1, 12]})
    alone = torch.stack([scores.knn(features, bank, k) for k in (5, 40, 1, 12)], dim=1)
    torch.testing.assert_close(together, alone, rtol=0, atol=0)
    assert (together[:, 1] > together[:, 3]).all() and (together[:, 3] > together[:, 0]).all()


def test_no_further_neighbours_is_a_table_of_one():
    assert scores.neighbours(torch.ones(3, 4), torch.ones(10, 4), {"score.knn_k": [2], "score.knn_more": []}).shape == (3, 1)
