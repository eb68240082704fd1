"""Parameters of a recipe of loss uniform."""

from typing import Annotated, Literal

from annotated_types import Ge

from penumbra.train.network.params import NetworkRecipe
from penumbra.values import Count, NotNegative, Positive, Width


class Recipe(NetworkRecipe):
    """Cross-entropy, outliers to the uniform distribution, and mutual information of ID and outlier features (SONA eq. 8, 9)."""

    loss: Literal["uniform"]
    paired: bool
    reconstructed: bool
    information: Literal["club", "outer_product", "none"]
    information_weight: NotNegative
    club_hidden: Annotated[Width, Ge(2)]
    club_learning_rate: Positive
    club_steps: Count

    @property
    def of_outliers(self) -> str:
        more = f" + {self.information_weight:g} × {self.information} between pairs" if self.information != "none" else ""
        return f"outliers to uniform{more}"
