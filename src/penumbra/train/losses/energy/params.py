"""Parameters of a recipe of loss energy."""

from typing import Literal

from penumbra.train.network.params import NetworkRecipe
from penumbra.values import Positive, Width


class Recipe(NetworkRecipe):
    """Cross-entropy and the logistic loss of a head on the energy (Bad-OOD eq. 5, GOOD eq. 8)."""

    loss: Literal["energy"]
    outliers_per_id: Positive
    phi_hidden: Width
    phi_monotone: bool
    reduction: Literal["sum_of_means", "mean_of_all"]

    @property
    def of_outliers(self) -> str:
        return "energy uncertainty"
