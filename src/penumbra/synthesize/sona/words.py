"""OOD words: which of them SONA adds to an ID image (Yoon et al. 2025, Table 2)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

POOL = 0.25  # share of the words that are close, and that are far


def text_distance(a: Tensor, b: Tensor) -> Tensor:
    """Cosine distance [M, N] of text embeddings [M, D] and [N, D]."""
    return 1 - F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


def pool(distance: Tensor, choice: str) -> Tensor:
    """Indices of the words that may be drawn for an ID class: all, or the nearest or the farthest quarter, one at least.

    Args:
        distance: [N], of the class's name from each word.
        choice: random, which takes all | close | far.
    """
    count = math.ceil(POOL * len(distance))
    order = torch.argsort(distance, stable=True)
    return {"close": order[:count], "far": order[-count:]}.get(choice, torch.arange(len(distance)))


def draw(candidates: Tensor, uniform: float) -> int:
    """One of the candidates [N], by a draw from [0, 1)."""
    return int(candidates[int(uniform * len(candidates))])
