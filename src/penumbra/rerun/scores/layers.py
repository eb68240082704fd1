"""Mahalanobis distance over several layers (Lee et al. 2018)."""

from typing import TYPE_CHECKING, Literal

from penumbra.rerun.scores.base import Rerun, Subject, maps
from penumbra.scores.mahalanobis import FLAT
from penumbra.values import NotNegative, Section

if TYPE_CHECKING:
    from torch import Tensor


class MahalanobisLayers(Rerun):
    """sum_l min_c (z_l - mu_lc)^T S_l^-1 (z_l - mu_lc) >= 0 (eq. 1 and 2 for each block), z_l the means of the maps of block l.

    The paper weighs layers by a logistic regression on OOD images, and scores by the negative; here layers weigh the same.
    """

    class Parameters(Section):
        score: Literal["mahalanobis-layers"]
        ridge: NotNegative

    def learn(self, bank: Subject) -> None:
        """Estimate means and covariance of each block.

        Raises:
            PenumbraError: a covariance has no inverse.
        """
        import torch

        from penumbra.gaussians import class_means, gaussians, second_moment

        features = [torch.cat(of_block) for of_block in zip(*(self._means(images) for images in bank.train), strict=True)]
        self.of_blocks = []
        for of_block in features:
            means, counts = class_means(of_block, bank.labels, int(bank.labels.max()) + 1)
            found = gaussians(means[counts > 0], second_moment(of_block, means, bank.labels), self.parameters.ridge)
            if found is None:
                raise self.refused(FLAT, "ridge")
            self.of_blocks.append(found)

    def batch(self, images: "Tensor") -> "Tensor":
        pairs = zip(self.of_blocks, self._means(images), strict=True)
        return sum(of_block.squared(features).min(1).values for of_block, features in pairs)

    def _means(self, images: "Tensor") -> "list[Tensor]":
        """Of each block [B, C_l], float64 on the CPU."""
        return [of_block.double().mean((2, 3)).cpu() for of_block in maps(self.network, images)[1]]
