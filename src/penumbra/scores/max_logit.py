"""Maximum logit (Hendrycks et al. 2022)."""

from typing import TYPE_CHECKING

from penumbra.scores.base import Score

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class MaxLogit(Score):
    """-max_n f_n, as in the paper."""

    name = "max_logit"

    def __call__(self, outputs: "Outputs") -> "Tensor":
        return -outputs.logits.max(dim=1).values
