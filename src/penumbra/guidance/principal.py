"""Representations moved along the first principal direction of their class (Bad-OOD H.2)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from penumbra.gaussians import class_means, second_moment

NOTHING = 1e-12  # of the mean square of a class: what rounding leaves of a variance of zero


@dataclass(frozen=True)
class Lines:
    """A line through the representations of each class, float64 on the CPU.

    Attributes:
        mean: of the class [C, D]; zero where it has no image.
        direction: of its greatest variance [C, D], of length 1, either way along the line; zero where the class has no variance.
    """

    mean: Tensor
    direction: Tensor

    @property
    def without(self) -> list[int]:
        """The classes that have no direction."""
        return (self.direction.abs().sum(1) == 0).nonzero().flatten().tolist()


def principal_lines(representation: Tensor, labels: Tensor) -> Lines:
    """The mean and the first principal direction of each class.

    Args:
        representation: of ID images [N, D], on the CPU.
        labels: of the images [N], 0..C-1.
    """
    means, counts = class_means(representation, labels, int(labels.max()) + 1)
    directions = torch.zeros_like(means)
    for label in counts.nonzero().flatten().tolist():
        own = representation[labels == label]
        variances, axes = torch.linalg.eigh(second_moment(own, means[label]))
        if variances[-1] > NOTHING * own.double().square().mean():
            directions[label] = axes[:, -1]
    return Lines(means, directions)


def toward(representation: Tensor, mean: Tensor, direction: Tensor, share: float) -> Tensor:
    """z + share |z| v for each representation z [B, D], where v is its direction, turned to the side on which its mean lies (H.2).

    The paper does not say which way along the direction is toward ID. Here it is the way that leads nearer to the mean of the class. A
    step shorter than twice the distance to the mean along the line ends nearer to it; a step with share < 0 always ends farther away.

    Args:
        representation: z.
        mean: of the class of each [B, D].
        direction: of the class of each [B, D], of length 1.
        share: of the length of z itself: positive toward ID, negative away from it.

    Returns:
        [B, D] of the type of `representation`.
    """
    z = representation.double()
    behind = ((mean - z) * direction).sum(1, keepdim=True) < 0
    step = share * torch.linalg.vector_norm(z, dim=1, keepdim=True)
    return torch.where(behind, z - step * direction, z + step * direction).to(representation.dtype)
