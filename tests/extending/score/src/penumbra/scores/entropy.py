"""Entropy of the softmax over a temperature."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Asked
from penumbra.values import Positive, Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class Entropy(Asked):
    """-sum_n p_n log p_n >= 0 of p, the softmax of the logits over the temperature; higher = more OOD."""

    class Parameters(Section):
        score: Literal["entropy"]
        temperature: Positive

    def __call__(self, outputs: "Outputs") -> "Tensor":
        scaled = outputs.logits / self.parameters.temperature
        return -(scaled.softmax(1) * scaled.log_softmax(1)).sum(1)
