"""ReAct: activations that are cut off (Sun et al. 2021)."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Bank
from penumbra.scores.shaped import Shaped
from penumbra.values import Section, Share

if TYPE_CHECKING:
    from torch import Tensor


class React(Shaped):
    """Energy of features min(z, c), c the quantile of all activations of ID images: of training (the paper), or of validation (OpenOOD)."""

    class Parameters(Section):
        score: Literal["react"]
        quantile: Share
        images: Literal["train", "val"]

    def fit(self, bank: Bank) -> None:
        """Find c."""
        import numpy as np

        super().fit(bank)
        outputs = bank.train if self.parameters.images == "train" else bank.val
        activations = outputs.features.flatten().numpy().copy()
        self.highest = float(np.quantile(activations, self.parameters.quantile, overwrite_input=True))

    def shape(self, features: "Tensor") -> "Tensor":
        return features.clamp_max(self.highest)
