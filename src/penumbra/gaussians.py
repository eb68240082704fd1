"""Normal distributions of features: means by class, covariances, distances. In float64, block by block where images are many."""

from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 4096  # images whose features are copied at a time


@dataclass(frozen=True)
class Gaussians:
    """K normal distributions that share a covariance.

    Attributes:
        origin: near the means [D], so that squares of large features do not cancel.
        whitening: A [D, D] with A^T A the inverse of the covariance.
        means: A (mu - origin) [K, D].
    """

    origin: Tensor
    whitening: Tensor
    means: Tensor

    def squared(self, features: Tensor) -> Tensor:
        """Squared Mahalanobis distances >= 0 [B, K] of features [B, D]."""
        return torch.cat([self._squared(block) for block in features.split(BLOCK)])

    def _squared(self, features: Tensor) -> Tensor:
        white = (features.double() - self.origin) @ self.whitening.T
        products = white @ self.means.T
        return (white.square().sum(1, keepdim=True) - 2 * products + self.means.square().sum(1)).clamp_min(0)


def class_means(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Means of the features of each class [C, D], zero where a class has no image, and the images of each class [C].

    Args:
        features: [N, D].
        labels: of each image, 0..C-1.
        classes: C.
    """
    sums = torch.zeros(classes, features.shape[1], dtype=torch.float64)
    for block, of_block in zip(features.split(BLOCK), labels.split(BLOCK), strict=True):
        sums.index_add_(0, of_block, block.double())
    counts = labels.bincount(minlength=classes)
    return sums / counts.clamp_min(1)[:, None], counts


def second_moment(features: Tensor, centres: Tensor, labels: Tensor | None = None) -> Tensor:
    """Mean of (z - c)(z - c)^T [D, D] over features z [N, D].

    Args:
        features: [N, D].
        centres: c: [D] of all images, or [C, D] by label.
        labels: of each image, where there is a centre for each label.
    """
    total = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    for start in range(0, len(features), BLOCK):
        rows = slice(start, start + BLOCK)
        centred = features[rows].double() - (centres if labels is None else centres[labels[rows]])
        total += centred.T @ centred
    return total / len(features)


def gaussians(means: Tensor, covariance: Tensor, ridge: float) -> Gaussians | None:
    """Distributions with these means [K, D] and the covariance [D, D] + ridge * its mean variance; None where that has no inverse.

    Args:
        means: mu.
        covariance: what the distributions share.
        ridge: >= 0, a share of the mean of the variances.
    """
    width, rounding = len(covariance), torch.finfo(torch.float64).eps
    raised = covariance + ridge * covariance.trace() / width * torch.eye(width, dtype=torch.float64)
    root, failed = torch.linalg.cholesky_ex(raised)
    constant = covariance.trace() <= (width * rounding) ** 2 * means.square().sum(1).mean()
    if failed or constant or root.diagonal().min() ** 2 <= width * rounding * raised.diagonal().max():
        return None
    whitening = torch.linalg.solve_triangular(root, torch.eye(width, dtype=torch.float64), upper=False)
    origin = means.mean(0)
    return Gaussians(origin, whitening, (means - origin) @ whitening.T)
