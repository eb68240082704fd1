"""Parameters of a recipe of loss mixoe."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from penumbra.train.network.params import NetworkRecipe
from penumbra.values import Fault, Positive

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Recipe(NetworkRecipe):
    """Cross-entropy, and beta times that of mixtures with their soft labels (Zhang et al. 2023).

    Attributes:
        mix: mixup (the weighted mean of both images) | cutmix (a rectangle of the outlier lies on the ID image).
        alpha: the share lambda of the ID image is of Beta(alpha, alpha).
    """

    loss: Literal["mixoe"]
    mix: Literal["mixup", "cutmix"]
    alpha: Positive

    @property
    def of_outliers(self) -> str:
        return f"mixtures of ID images and outliers ({self.mix}) with soft labels"


def faults(experiment: "Experiment") -> Iterator[Fault]:
    own = experiment.recipes_of(Recipe)
    for name, section in experiment.train.detectors.items():
        if section.recipe in own and section.method == "none":
            yield f"train.detectors.{name}.method", f"must not be none: recipe {section.recipe} mixes ID images with outliers"
