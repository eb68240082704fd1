"""Functions of logits that losses, guidance and scores share; higher = more OOD."""

import torch
from torch import Tensor

from penumbra.elementary import logsumexp


def energy(logits: Tensor) -> Tensor:
    """Free energy [B] of logits [B, N], E = -log sum_n exp f_n (Bad-OOD eq. 3); higher = more OOD."""
    return -logsumexp(logits, dim=1)


def msp(logits: Tensor) -> Tensor:
    """Maximum softmax probability (Hendrycks and Gimpel 2017) as -log p_max >= 0 [B], of logits [B, N].

    p_max itself rounds to 1 and ties confident images; the share of the other classes keeps their order. It comes from the softmax,
    since MKL's exponential of float64 differs in a last bit between CPUs (`kernels`), and torch's softmax takes its own.
    """
    shares = torch.softmax(logits, dim=1)
    others = shares.scatter(1, logits.argmax(dim=1, keepdim=True), 0)
    return -torch.log1p(-others.sum(dim=1))
