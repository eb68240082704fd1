"""Outliers around the boundary of a class's embeddings, without a model of their distribution (NPOS, Tao et al. 2023; Dream-OOD).

Boundary embeddings are those whose k-th nearest neighbour is farthest. Gaussian draws around them are kept where they are farthest
themselves: rejection by an estimate of the density. Distances are of embeddings of length 1.
"""

import torch
from torch import Tensor

from penumbra.guidance.ood import kth_distance


def boundary(bank: Tensor, k: int, select: int) -> Tensor:
    """Rows [select] of the embeddings [N, D], of length 1, with the farthest k-th neighbour, farthest first (NPOS 3.1).

    An embedding is its own first neighbour, as in the official code.
    """
    return kth_distance(bank, bank, k).topk(select).indices


def around(points: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """Draws [P, S, D] from N(point, sigma^2 I) (NPOS 3.1), of points [P, D].

    As in the official code, all points share their standard normal noise [S, D].
    """
    return points[:, None] + sigma * noise


def farthest(draws: Tensor, bank: Tensor, k: int, keep: int) -> Tensor:
    """Of the draws around each point [P, S, D] those with the farthest k-th neighbour in the bank [N, D]: [P * keep, D] (NPOS 3.1)."""
    distances = kth_distance(draws.flatten(0, 1), bank, k).view(draws.shape[:2])
    kept = distances.topk(keep, dim=1).indices
    return draws.gather(1, kept[..., None].expand(-1, -1, draws.shape[2])).flatten(0, 1)


def scrambled(draws: Tensor, bank: Tensor, k: int, keep: int) -> Tensor:
    """What the released code of NPOS and Dream-OOD keeps in place of `farthest`; for parity only.

    It lays distances out point by point, and reads them as if they lay draw by draw: where it looks for the farthest draws of a point
    it compares every P-th of all, and takes the places found for those of the point.
    """
    points, count, _ = draws.shape
    distances = kth_distance(draws.flatten(0, 1), bank, k).view(count, points)
    kept = distances.topk(keep, dim=0).indices.T
    return torch.cat([around_point[rows] for around_point, rows in zip(draws, kept, strict=True)])
