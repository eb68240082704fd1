"""Functions of logits where a softmax saturates."""

import torch

from penumbra import logits as of_logits


def test_a_saturated_softmax_makes_no_ties():
    """In float64 the softmax of all of these is 1."""
    logits = torch.tensor([[margin, 0.0, 0.0] for margin in (40.0, 50.0, 100.0, 300.0, 700.0)], dtype=torch.float64)
    assert (torch.softmax(logits, 1)[:, 0] == 1).all()
    assert (of_logits.msp(logits).diff() < 0).all() and (of_logits.msp(logits) > 0).all()


def test_equal_logits_are_the_least_confident():
    torch.testing.assert_close(of_logits.msp(torch.zeros(2, 4)), torch.full((2,), 4.0).log())
