"""Parameters of a recipe of loss mcd."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from penumbra.train.network.params import NetworkRecipe
from penumbra.values import Fault, Natural, NotNegative

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Recipe(NetworkRecipe):
    """Cross-entropy of two heads, and beta times what their discrepancy on outliers lacks of a margin (Yu and Aizawa 2019).

    Attributes:
        start_epoch: epochs of the cross-entropy alone; then both are minimised (the paper's fine-tuning).
        margin: m, in nats; no more discrepancy is asked for.
    """

    loss: Literal["mcd"]
    start_epoch: Natural
    margin: NotNegative

    @property
    def of_outliers(self) -> str:
        return f"discrepancy of both on outliers, margin {self.margin:g}, from epoch {self.start_epoch + 1} on"

    @property
    def caption(self) -> str:
        return super().caption.replace("cross-entropy", "cross-entropy of two heads")


def faults(experiment: "Experiment") -> Iterator[Fault]:
    own = experiment.recipes_of(Recipe)
    for key, recipe in own.values():
        if recipe.start_epoch >= recipe.epochs:
            yield f"{key}.start_epoch", f"must be in 0..{recipe.epochs - 1} (below {key}.epochs)"
    for name, section in experiment.train.detectors.items():
        if section.recipe in own and section.method == "none":
            yield f"train.detectors.{name}.method", f"must not be none: heads of recipe {section.recipe} learn to differ on outliers"
