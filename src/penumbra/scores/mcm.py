"""Maximum concept matching (Ming et al. 2022), of CLIP detectors."""

from typing import TYPE_CHECKING

from penumbra.scores.base import Bank, Score

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class Mcm(Score):
    """-log p_max >= 0, p the softmax of the cosines to the ID labels over T; the paper's score is p_max, higher = more ID.

    T is `mcm_temperature` of the detector's recipe.
    """

    name = "mcm"
    kinds = ("clip",)

    def fit(self, bank: Bank) -> None:
        """T is the detector's."""
        self.temperature = bank.mcm_temperature

    def __call__(self, outputs: "Outputs") -> "Tensor":
        from penumbra.labels import mcm

        return mcm(outputs.concepts.double(), self.temperature)
