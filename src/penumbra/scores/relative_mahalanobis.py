"""Relative Mahalanobis distance (Ren et al. 2021)."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Bank
from penumbra.scores.mahalanobis import FLAT, Mahalanobis
from penumbra.values import NotNegative, Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class RelativeMahalanobis(Mahalanobis):
    """min_c M_c - M_0, as in the paper: M_c as of `mahalanobis`, M_0 to one normal distribution of all ID training images."""

    class Parameters(Section):
        score: Literal["relative-mahalanobis"]
        ridge: NotNegative

    def fit(self, bank: Bank) -> None:
        """Estimate the distributions of the classes, and that of all images.

        Raises:
            PenumbraError: a covariance has no inverse.
        """
        from penumbra.gaussians import gaussians, second_moment

        self.of_classes = self.fitted(bank)
        mean = bank.train.features.double().mean(0)
        of_all = gaussians(mean[None], second_moment(bank.train.features, mean), self.parameters.ridge)
        if of_all is None:
            raise self.refused(FLAT, "ridge")
        self.of_all = of_all

    def __call__(self, outputs: "Outputs") -> "Tensor":
        return super().__call__(outputs) - self.of_all.squared(outputs.features)[:, 0]
