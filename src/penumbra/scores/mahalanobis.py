"""Mahalanobis distance (Lee et al. 2018), of the features that the last layer sees."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Asked, Bank
from penumbra.values import NotNegative, Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs
    from penumbra.gaussians import Gaussians

FLAT = "the features of ID training images have no inverse covariance. Use a higher ridge, or a detector whose features vary."


class Mahalanobis(Asked):
    """min_c (z - mu_c)^T S^-1 (z - mu_c) >= 0; the paper's score is its negative, higher = more ID.

    Class means mu_c and the covariance S that they share are those of ID training images; a class without any has no mean. `ridge` is
    added to the variances of S, as a share of their mean.
    """

    class Parameters(Section):
        score: Literal["mahalanobis"]
        ridge: NotNegative

    def fit(self, bank: Bank) -> None:
        """Estimate means and covariance.

        Raises:
            PenumbraError: the covariance has no inverse.
        """
        self.of_classes = self.fitted(bank)

    def fitted(self, bank: Bank) -> "Gaussians":
        """The distributions of the classes; raises as `fit` does."""
        from penumbra.gaussians import class_means, gaussians, second_moment

        features, labels = bank.train.features, bank.labels
        means, counts = class_means(features, labels, len(bank.weight))
        found = gaussians(means[counts > 0], second_moment(features, means, labels), self.parameters.ridge)
        if found is None:
            raise self.refused(FLAT, "ridge")
        return found

    def __call__(self, outputs: "Outputs") -> "Tensor":
        return self.of_classes.squared(outputs.features).min(1).values
