"""Parameters of a recipe of loss npos."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from penumbra.train.losses.cider.params import SphereRecipe
from penumbra.values import Count, Fault, Natural, NotNegative, Positive, Width

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Recipe(SphereRecipe):
    """Compactness (NPOS eq. 8), dispersion, and beta times the risk of outliers (eq. 6).

    Attributes:
        dispersion: weight of CIDER's dispersion, which the official code adds.
        start_epoch: epochs without outliers.
        queue: latest features of each class; no outliers before all queues are full.
        knn_k: which neighbour's distance; a feature is its own first.
        boundary: features of each class with the farthest neighbour, of which `picked` are drawn at each step.
        samples: Gaussian draws around each, of deviation sigma, of which the `keep` farthest are outliers.
        hidden: hidden units of the head on the features.
    """

    loss: Literal["npos"]
    dispersion: NotNegative
    start_epoch: Natural
    queue: Count
    knn_k: Count
    boundary: Count
    picked: Count
    samples: Count
    keep: Count
    sigma: Positive
    hidden: Width

    @property
    def of_outliers(self) -> str:
        return f"outliers at the boundary from epoch {self.start_epoch + 1} on"

    @property
    def caption(self) -> str:
        spread = f"compactness + {self.dispersion:g} × dispersion"
        return super().caption.replace("cross-entropy", spread)


AT_MOST = (("knn_k", "queue"), ("boundary", "queue"), ("picked", "boundary"), ("keep", "samples"))


def faults(experiment: "Experiment") -> Iterator[Fault]:
    for key, recipe in experiment.recipes_of(Recipe).values():
        if recipe.start_epoch >= recipe.epochs:
            yield f"{key}.start_epoch", f"must be in 0..{recipe.epochs - 1} (below {key}.epochs)"
        for fewer, more in AT_MOST:
            if recipe[fewer] > recipe[more]:
                yield f"{key}.{fewer}", f"must be in 1..{recipe[more]} ({key}.{more})"
