"""Parameters of a recipe of loss cider."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from penumbra.train.network.params import NetworkRecipe
from penumbra.values import Fault, Positive, ShareBelowOne, Width

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class SphereRecipe(NetworkRecipe):
    """What recipes on a sphere share.

    Attributes:
        projection: width of the embeddings z; their score is k-NN of the features before the projection, as in the papers.
        temperature: tau.
        momentum_of_prototypes: alpha, the share of a prototype that an embedding leaves.
    """

    projection: Width
    temperature: Positive
    momentum_of_prototypes: ShareBelowOne


class Recipe(SphereRecipe):
    """Compactness, and beta times dispersion (CIDER 3.2; the paper weighs compactness by lambda_c, which is 1/beta)."""

    loss: Literal["cider"]

    @property
    def of_outliers(self) -> str:
        return "dispersion of prototypes"

    @property
    def caption(self) -> str:
        return super().caption.replace("cross-entropy", "compactness")


def faults(experiment: "Experiment") -> Iterator[Fault]:
    own = experiment.recipes_of(SphereRecipe)
    for name, section in experiment.train.detectors.items():
        if section.recipe in own and section.method != "none":
            yield f"train.detectors.{name}.method", f"must be none: recipe {section.recipe} learns from ID images alone"
