"""Parameters of a recipe of loss vos."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from penumbra.train.network.params import NetworkRecipe
from penumbra.values import Count, Fault, Natural, Width

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Recipe(NetworkRecipe):
    """Cross-entropy, and beta times the uncertainty loss of virtual outliers (VOS, section 3).

    Attributes:
        start_epoch: epochs without virtual outliers.
        queue: latest features of each class that its Gaussian is fitted to; none before all queues are full.
        samples: drawn from each Gaussian at each step, of which the `select` least likely are taken.
        phi_hidden, phi_monotone: see `models.resnet.Phi`.
        reduction: see `energy.loss.uncertainty_loss`.
    """

    loss: Literal["vos"]
    start_epoch: Natural
    queue: Count
    samples: Count
    select: Count
    phi_hidden: Width
    phi_monotone: bool
    reduction: Literal["sum_of_means", "mean_of_all"]

    @property
    def of_outliers(self) -> str:
        return f"weighted-energy uncertainty of virtual outliers from epoch {self.start_epoch + 1} on"


def faults(experiment: "Experiment") -> Iterator[Fault]:
    own = experiment.recipes_of(Recipe)
    for key, recipe in own.values():
        if recipe.start_epoch >= recipe.epochs:
            yield f"{key}.start_epoch", f"must be in 0..{recipe.epochs - 1} (below {key}.epochs)"
        if recipe.select > recipe.samples:
            yield f"{key}.select", f"must be in 1..{recipe.samples} ({key}.samples)"
    for name, section in experiment.train.detectors.items():
        if section.recipe in own and section.method != "none":
            yield f"train.detectors.{name}.method", f"must be none: recipe {section.recipe} makes its outliers itself"
