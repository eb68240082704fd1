"""OOD scores of logits and features; higher = more OOD."""

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.errors import PenumbraError
from penumbra.models.resnet import energy

QUERY_BLOCK = 1024
BANK_BLOCK = 65536

__all__ = ["energy", "knn", "max_logit", "msp"]


def msp(logits: Tensor) -> Tensor:
    """Maximum softmax probability (Hendrycks and Gimpel 2017) as -log p_max >= 0 [B], of logits [B, N].

    p_max itself rounds to 1 and ties confident images; the log of the other classes' share keeps their order.
    """
    relative = torch.exp(logits - logits.max(dim=1, keepdim=True).values)
    others = relative.scatter(1, logits.argmax(dim=1, keepdim=True), 0)
    return torch.log1p(others.sum(dim=1))


def max_logit(logits: Tensor) -> Tensor:
    """Negative maximum logit [B] (Hendrycks et al. 2022), of logits [B, N]."""
    return -logits.max(dim=1).values


def knn(features: Tensor, bank: Tensor, k: int) -> Tensor:
    """Distance [B] to the k-th nearest row of the bank, all features normalised to length 1 (Sun et al. 2022).

    Memory does not grow with B nor with the size of the bank.

    Args:
        features: [B, D].
        bank: features of the ID training images [M, D].
        k: 1..M.

    Raises:
        PenumbraError: the bank has fewer than k rows.
    """
    if k > len(bank):
        raise PenumbraError(f"params.yaml: score.knn_k = {k}: must be at most {len(bank)}, the number of ID training images.")
    bank = F.normalize(bank, dim=1)
    return torch.cat([_kth_distance(F.normalize(block, dim=1), bank, k) for block in features.split(QUERY_BLOCK)])


def _kth_distance(queries: Tensor, bank: Tensor, k: int) -> Tensor:
    """Distance [B] to the k-th nearest row; found by cosines, then computed without their cancellation."""
    cosine = queries.new_zeros(len(queries), 0)
    index = torch.zeros(len(queries), 0, dtype=torch.long, device=queries.device)
    for start in range(0, len(bank), BANK_BLOCK):
        block = queries @ bank[start : start + BANK_BLOCK].T
        rows = torch.arange(start, start + block.shape[1], device=queries.device).expand_as(block)
        cosine, index = torch.cat([cosine, block], dim=1), torch.cat([index, rows], dim=1)
        cosine, order = cosine.topk(min(k, cosine.shape[1]), dim=1)
        index = index.gather(1, order)
    return (queries - bank[index[:, -1]]).norm(dim=1)
