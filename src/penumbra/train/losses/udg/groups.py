"""Groups of images by their features, and the classes that pure ones give to their unlabelled images (UDG, Yang et al. 2021)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.elementary import root

ROUNDS = 20  # of k-means, as in the official code
BLOCK = 4096  # images whose distances to all centres are in memory at a time
FLAT = 1e-6  # share of the largest variance; a direction of less is noise of rounding, which whitening would blow up


def whitened(features: Tensor, dimensions: int) -> Tensor:
    """Features [N, D] by their principal components, each of variance 1, then of length 1 [N, at most `dimensions`]."""
    centred = features.double() - features.double().mean(0)
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))  # ascending
    kept = variances[-dimensions:] > FLAT * variances[-1].clamp_min(torch.finfo(torch.float64).tiny)
    variances, directions = variances[-dimensions:][kept], directions[:, -dimensions:][:, kept]
    return F.normalize(centred @ directions / root(variances), dim=1).to(features.dtype)


def grouped(points: Tensor, count: int) -> Tensor:
    """The group of each of the points [N, D] by k-means, in 0..min(count, N) - 1.

    The first centres are points, by torch's global generator; a group that loses all of its points keeps its centre.
    """
    centres = points[torch.randperm(len(points))[:count].to(points.device)]
    for _ in range(ROUNDS):
        nearest = _nearest(points, centres)
        sums, sizes = torch.zeros_like(centres), torch.zeros(len(centres), 1, device=points.device, dtype=points.dtype)
        for some, rows in zip(nearest.split(BLOCK), points.split(BLOCK), strict=True):
            members = F.one_hot(some, len(centres)).to(points.dtype).T  # a product adds in one order on every device
            sums += members @ rows
            sizes += members.sum(1, keepdim=True)
        centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
    return _nearest(points, centres)


def _nearest(points: Tensor, centres: Tensor) -> Tensor:
    offset = centres.square().sum(1) / 2
    return torch.cat([(rows @ centres.T - offset).argmax(1) for rows in points.split(BLOCK)])


def filtered(groups: Tensor, labels: Tensor, purity: float) -> Tensor:
    """The labels [N] after in-distribution filtering (section 4); -1 is unlabelled.

    Where more than the share `purity` of a group's images is labelled as one class, its unlabelled images are of this class, too.
    Labelled ones keep their label.

    Args:
        groups: [N].
        labels: [N], in -1..C - 1.
    """
    count, classes = int(groups.max()) + 1, int(labels.max()) + 1
    pairs = torch.bincount(groups * (classes + 1) + labels + 1, minlength=count * (classes + 1)).view(count, classes + 1)
    largest, of_class = pairs[:, 1:].max(1)
    pure = largest > purity * pairs.sum(1)
    given = torch.where(pure, of_class, -1)[groups]
    return torch.where(labels < 0, given, labels)


def weights(groups: Tensor) -> Tensor:
    """Of each image [N]: 1 / sqrt(n) of its group of n images, with a mean of 1 over the groups that hold any, float32."""
    sizes = torch.bincount(groups)
    by_group = sizes.clamp_min(1).double().rsqrt()
    return (by_group / by_group[sizes > 0].mean())[groups].float()
