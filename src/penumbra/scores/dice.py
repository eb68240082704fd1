"""DICE: a last layer with few weights (Sun and Li 2022)."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Bank
from penumbra.scores.shaped import Shaped
from penumbra.values import Section, ShareBelowOne

if TYPE_CHECKING:
    from torch import Tensor


class Dice(Shaped):
    """Energy of the logits of those weights whose mean contribution w E[z] over ID training images is above its quantile `sparsity`."""

    class Parameters(Section):
        score: Literal["dice"]
        sparsity: ShareBelowOne

    def fit(self, bank: Bank) -> None:
        """Take the other weights away."""
        import numpy as np

        super().fit(bank)
        contributions = self.weight * bank.train.features.mean(0)
        self.weight = self.weight * (contributions > float(np.quantile(contributions.numpy(), self.parameters.sparsity)))

    def shape(self, features: "Tensor") -> "Tensor":
        return features
