"""Maximum classifier discrepancy (Yu and Aizawa 2019)."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Asked
from penumbra.values import Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class Mcd(Asked):
    """sum_k |p_1k - p_2k| in [0, 2] of the softmax of both heads, for detectors of loss mcd; higher = more OOD, as in the paper."""

    kinds = ("network",)
    takes = ("second",)
    loss = "mcd"

    class Parameters(Section):
        score: Literal["mcd"]

    def __call__(self, outputs: "Outputs") -> "Tensor":
        first, second = (each.double().softmax(1) for each in (outputs.logits, outputs.beside["second"]))
        return (first - second).abs().sum(1)
