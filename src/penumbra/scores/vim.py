"""Virtual-logit matching (Wang et al. 2022)."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Bank
from penumbra.scores.residual import Residual
from penumbra.values import Section, ShareAboveZero

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs

NOTHING = 1e-9  # of the length of features: what rounding leaves


class Vim(Residual):
    """alpha ||R^T (z - o)|| - log sum_n exp f_n: the log-odds of the probability that the paper scores by; higher = more OOD, as there.

    R and o as of `residual`; alpha makes the mean virtual logit of ID training images their mean maximum logit.
    """

    class Parameters(Section):
        score: Literal["vim"]
        share: ShareAboveZero

    def fit(self, bank: Bank) -> None:
        """Find the directions, and alpha.

        Raises:
            PenumbraError: principal directions leave nothing of the features of ID training images.
        """
        super().fit(bank)
        residual = super().__call__(bank.train).mean()
        if residual <= NOTHING * bank.train.features.double().norm(dim=1).mean():
            raise self.refused("these directions hold all of the features of ID training images. Use a lower share.", "share")
        self.alpha = bank.train.logits.max(1).values.mean() / residual

    def __call__(self, outputs: "Outputs") -> "Tensor":
        from penumbra.logits import energy

        return self.alpha * super().__call__(outputs) + energy(outputs.logits)
