"""Generalised entropy of the softmax (Liu, Lochman and Zach 2023)."""

from typing import TYPE_CHECKING

from penumbra.scores.base import Score
from penumbra.values import Section, ShareAboveZero

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class Gen(Score):
    """G = sum_n p_n^gamma (1 - p_n)^gamma >= 0 of softmax probabilities p; the paper's score is -G, higher = more ID."""

    name = "gen"

    class Parameters(Section):
        gen_gamma: ShareAboveZero

    def __call__(self, outputs: "Outputs") -> "Tensor":
        p = outputs.logits.softmax(dim=1)
        return (p * (1 - p)).pow(self.parameters.gen_gamma).sum(dim=1)
