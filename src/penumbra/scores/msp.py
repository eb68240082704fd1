"""Maximum softmax probability (Hendrycks and Gimpel 2017)."""

from typing import TYPE_CHECKING

from penumbra.scores.base import Score

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class Msp(Score):
    """-log p_max >= 0, p the softmax of the logits; the paper's score is p_max, higher = more ID."""

    name = "msp"

    def __call__(self, outputs: "Outputs") -> "Tensor":
        from penumbra.logits import msp

        return msp(outputs.logits)
