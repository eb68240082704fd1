"""Functions of logits that losses, guidance and scores share; higher = more OOD."""

import torch
from torch import Tensor


def energy(logits: Tensor) -> Tensor:
    """Free energy [B] of logits [B, N], E = -log sum_n exp f_n (Bad-OOD eq. 3); higher = more OOD."""
    return -torch.logsumexp(logits, dim=1)
