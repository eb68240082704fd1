"""Simplified Hopfield energy (Zhang et al. 2023)."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Asked, Bank
from penumbra.values import Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class She(Asked):
    """-z . s_c, c the predicted class, s_c the mean feature of the ID training images that are rightly called c; the paper's is z . s_c.

    If none is rightly called c, it is 0, which nothing exceeds where features are not negative.
    """

    kinds = ("network",)

    class Parameters(Section):
        score: Literal["she"]

    def fit(self, bank: Bank) -> None:
        """Average the features by class."""
        from penumbra.gaussians import class_means

        right = bank.train.logits.argmax(1) == bank.labels
        self.patterns, _ = class_means(bank.train.features[right], bank.labels[right], len(bank.weight))

    def __call__(self, outputs: "Outputs") -> "Tensor":
        return -(outputs.features * self.patterns[outputs.logits.argmax(1)]).sum(1)
