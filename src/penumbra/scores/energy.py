"""Free energy (Liu et al. 2020)."""

from typing import TYPE_CHECKING

from penumbra.scores.base import Score

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class Energy(Score):
    """E = -log sum_n exp f_n, higher = more OOD (Bad-OOD eq. 3); Liu et al. score by -E, higher = more ID."""

    name = "energy"

    def __call__(self, outputs: "Outputs") -> "Tensor":
        from penumbra.logits import energy

        return energy(outputs.logits)
