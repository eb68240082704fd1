"""GradNorm, of the last layer's weights (Huang et al. 2021)."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Asked
from penumbra.values import Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class GradNorm(Asked):
    """-||d KL(u || p) / dW||_1 <= 0, u uniform, p the softmax, W the last layer's weights; the paper's score is the norm: more ID.

    The gradient is (p - u) z^T, so its norm is ||p - u||_1 ||z||_1.
    """

    kinds = ("network",)

    class Parameters(Section):
        score: Literal["gradnorm"]

    def __call__(self, outputs: "Outputs") -> "Tensor":
        logits = outputs.logits
        return -(logits.softmax(1) - 1 / logits.shape[1]).abs().sum(1) * outputs.features.abs().sum(1)
