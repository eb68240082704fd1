"""Functions of logits that losses, guidance and scores share; higher = more OOD."""

import torch
from torch import Tensor


def energy(logits: Tensor) -> Tensor:
    """Free energy [B] of logits [B, N], E = -log sum_n exp f_n (Bad-OOD eq. 3); higher = more OOD."""
    return -torch.logsumexp(logits, dim=1)


def msp(logits: Tensor) -> Tensor:
    """Maximum softmax probability (Hendrycks and Gimpel 2017) as -log p_max >= 0 [B], of logits [B, N].

    p_max itself rounds to 1 and ties confident images; the log of the other classes' share keeps their order.
    """
    relative = torch.exp(logits - logits.max(dim=1, keepdim=True).values)
    others = relative.scatter(1, logits.argmax(dim=1, keepdim=True), 0)
    return torch.log1p(others.sum(dim=1))
