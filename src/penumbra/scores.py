"""OOD scores of logits and features; higher = more OOD."""

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.errors import PenumbraError
from penumbra.models.resnet import energy

QUERY_BLOCK = 1024
BANK_BLOCK = 65536

__all__ = ["energy", "knn", "max_logit", "msp", "neighbours"]


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
    return neighbours(features, bank, {"score.knn_k": [k]})[:, 0]


def neighbours(features: Tensor, bank: Tensor, ks: dict[str, list[int]]) -> Tensor:
    """Distances [B, K] to K neighbours, in the order of `ks`, from one search for the farthest of them; else as `knn`.

    Args:
        features: [B, D].
        bank: [M, D].
        ks: which neighbours, 1..M, by the parameter that names them.

    Raises:
        PenumbraError: the bank has too few rows; names the parameter.
    """
    for key, wanted in ks.items():
        if wanted and max(wanted) > len(bank):
            raise PenumbraError(f"params.yaml: {key} = {max(wanted)}: must be at most {len(bank)}, the number of ID training images.")
    places = [k for wanted in ks.values() for k in wanted]
    bank = F.normalize(bank, dim=1)
    return torch.cat([_distances(F.normalize(block, dim=1), bank, places) for block in features.split(QUERY_BLOCK)])


def _distances(queries: Tensor, bank: Tensor, ks: list[int]) -> Tensor:
    """Distances [B, K] to the k-th nearest rows; found by cosines, then computed without their cancellation."""
    cosine = queries.new_zeros(len(queries), 0)
    index = torch.zeros(len(queries), 0, dtype=torch.long, device=queries.device)
    for start in range(0, len(bank), BANK_BLOCK):
        block = queries @ bank[start : start + BANK_BLOCK].T
        rows = torch.arange(start, start + block.shape[1], device=queries.device).expand_as(block)
        cosine, index = torch.cat([cosine, block], dim=1), torch.cat([index, rows], dim=1)
        cosine, order = cosine.topk(min(max(ks), cosine.shape[1]), dim=1)
        index = index.gather(1, order)
    return torch.stack([(queries - bank[index[:, k - 1]]).norm(dim=1) for k in ks], dim=1)
