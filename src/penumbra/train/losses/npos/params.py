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


BELOW = (("start_epoch", "epochs", 0, -1), ("knn_k", "queue", 1, 0), ("boundary", "queue", 1, 0), ("picked", "boundary", 1, 0))


def faults(experiment: "Experiment") -> Iterator[Fault]:
    for kind in ("scratch", "classifier", "reconstruction"):
        for name, recipe in experiment.train.recipes[kind].items():
            for key, other, lowest, above in (*BELOW, ("keep", "samples", 1, 0)) if isinstance(recipe, Recipe) else ():
                if recipe[key] > recipe[other] + above:
                    at = f"train.recipes.{kind}.{name}"
                    yield f"{at}.{key}", f"must be in {lowest}..{recipe[other] + above} ({at}.{other})"
