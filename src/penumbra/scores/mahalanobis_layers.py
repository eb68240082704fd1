"""Mahalanobis distance over several layers (Lee et al. 2018)."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Asked, Bank
from penumbra.scores.mahalanobis import FLAT
from penumbra.values import NotNegative, Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class MahalanobisLayers(Asked):
    """sum_l min_c (z_l - mu_lc)^T S_l^-1 (z_l - mu_lc) >= 0 (eq. 1 and 2 for each layer), z_l the channel means of the map of layer l.

    The paper weighs layers by a logistic regression on OOD images, moves images by noise before, and scores by the negative; here layers
    weigh the same, and images stay as they are.
    """

    kinds = ("network",)
    takes = ("means",)

    class Parameters(Section):
        score: Literal["mahalanobis-layers"]
        ridge: NotNegative

    def fit(self, bank: Bank) -> None:
        """Estimate means and covariance of each layer.

        Raises:
            PenumbraError: a covariance has no inverse.
        """
        from penumbra.gaussians import class_means, gaussians, second_moment

        self.of_layers = {}
        for layer, features in bank.train.of_layers("means").items():
            means, counts = class_means(features, bank.labels, len(bank.weight))
            found = gaussians(means[counts > 0], second_moment(features, means, bank.labels), self.parameters.ridge)
            if found is None:
                raise self.refused(FLAT, "ridge")
            self.of_layers[layer] = found

    def __call__(self, outputs: "Outputs") -> "Tensor":
        means = outputs.of_layers("means")
        return sum(of_layer.squared(means[layer]).min(1).values for layer, of_layer in self.of_layers.items())
