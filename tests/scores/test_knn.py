"""The search for neighbours: distances against loops, and against one sort of the whole bank, ties and all."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from penumbra.scores import knn

KS = [5, 40, 1, 12]


def whole(features, bank, ks):
    """The same from one search of the whole bank."""
    queries = F.normalize(features, dim=1)
    order = (queries @ bank.T).topk(max(ks), dim=1).indices
    return torch.stack([(queries - bank[order[:, k - 1]]).norm(dim=1) for k in ks], dim=1)


@pytest.mark.parametrize("blocks", [(1024, 65536), (3, 7)])
def test_they_are_the_distances_to_the_kth_neighbours(monkeypatch, blocks):
    monkeypatch.setattr(knn, "QUERY_BLOCK", blocks[0])
    monkeypatch.setattr(knn, "BANK_BLOCK", blocks[1])
    draws = torch.Generator().manual_seed(0)
    features, bank = torch.randn(11, 8, generator=draws), F.normalize(torch.randn(40, 8, generator=draws), dim=1)
    expected = []
    for query in features.double().numpy():
        distances = sorted(np.linalg.norm(query / np.linalg.norm(query) - row) for row in bank.double().numpy())
        expected.append([distances[k - 1] for k in KS])
    np.testing.assert_allclose(knn.distances(features, bank, KS), expected, rtol=1e-5)


def test_the_distance_to_itself_is_zero():
    bank = F.normalize(torch.randn(10, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    torch.testing.assert_close(knn.distances(bank, bank, [1]), torch.zeros(10, 1))


def drawn(seed, rows, ties):
    """Features [20, 6] and a bank [rows, 6]: random | of few rows, each many times | of rows at equal cosines that differ."""
    draws = torch.Generator().manual_seed(seed)
    if ties == "none":
        bank = torch.randn(rows, 6, generator=draws)
    elif ties == "repeated":
        bank = torch.randn(4, 6, generator=draws)[torch.randint(0, 4, (rows,), generator=draws)]
    else:
        bank = torch.eye(6)[torch.randint(0, 6, (rows,), generator=draws)] + torch.eye(6)[torch.randint(0, 6, (rows,), generator=draws)]
    features = torch.randn(20, 6, generator=draws) if ties == "none" else torch.cat([bank[:10], torch.ones(10, 6)])
    return features, F.normalize(bank, dim=1)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(40, 90), st.integers(3, 100), st.sampled_from(["none", "repeated", "differing"]))
def test_blocks_give_the_bits_of_one_search_of_all(seed, rows, size, ties):
    """Among different rows at equal cosines a search takes any: between blocks the last bit of their distance is not fixed."""
    features, bank = drawn(seed, rows, ties)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knn, "BANK_BLOCK", size)
        found = knn.distances(features, bank, KS)
    exact = ties != "differing" or size >= rows
    torch.testing.assert_close(found, whole(features, bank, KS), rtol=0, atol=0 if exact else 1e-6)
