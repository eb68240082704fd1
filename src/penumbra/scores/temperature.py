"""Maximum softmax probability of logits over a temperature (Guo et al. 2017)."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Asked, Bank
from penumbra.values import Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs

LOWEST, HIGHEST = 0.05, 100.0  # T; logits that are right about every image have no finite optimum


class Temperature(Asked):
    """-log p_max >= 0, p the softmax of f / T; the usual score is p_max, higher = more ID.

    T has the least negative log-likelihood of the classes of ID validation images (Guo et al., 4.2), in [0.05, 100].
    """

    class Parameters(Section):
        score: Literal["temperature"]

    def fit(self, bank: Bank) -> None:
        """Find T, to the precision of float64: the likelihood is convex in 1 / T."""
        self.temperature = optimum(bank.val.logits, bank.val_labels)

    def __call__(self, outputs: "Outputs") -> "Tensor":
        from penumbra.logits import msp

        return msp(outputs.logits / self.temperature)


def optimum(logits: "Tensor", labels: "Tensor") -> float:
    """The temperature under which logits [N, C] tell the classes [N] best, LOWEST..HIGHEST."""
    from scipy.optimize import brentq

    own = logits.gather(1, labels[:, None])[:, 0]

    def slope(inverse: float) -> float:
        """Derivative of the mean negative log-likelihood by 1 / T; never falls."""
        expected = ((inverse * logits).softmax(1) * logits).sum(1)
        return float((expected - own).mean())

    low, high = 1 / HIGHEST, 1 / LOWEST
    if slope(high) <= 0:
        return LOWEST
    return HIGHEST if slope(low) >= 0 else 1 / brentq(slope, low, high, xtol=1e-14, rtol=1e-14)
