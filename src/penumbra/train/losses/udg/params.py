"""Parameters of a recipe of loss udg."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le

from penumbra.train.network.params import NetworkRecipe
from penumbra.values import Fault, NotNegative, Share, Width

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Recipe(NetworkRecipe):
    """Cross-entropy, beta times that of the uniform distribution, and that of group numbers (Yang et al. 2021, section 4).

    Attributes:
        groups: K of k-means, renewed before each epoch; no more than there are images.
        dimensions: principal components that images are grouped by; no more than the network has features.
        purity: tau; a group of which a larger share is labelled as one class gives this class to its unlabelled images.
        auxiliary: lambda_A, weight of the loss that tells groups apart.
    """

    loss: Literal["udg"]
    groups: Annotated[int, Ge(2), Le(10**6)]
    dimensions: Width
    purity: Share
    auxiliary: NotNegative

    @property
    def of_outliers(self) -> str:
        return f"what no pure group holds to uniform + {self.auxiliary:g} × {self.groups} groups"


def faults(experiment: "Experiment") -> Iterator[Fault]:
    own = experiment.recipes_of(Recipe)
    for name, section in experiment.train.detectors.items():
        if section.recipe in own and section.method == "none":
            yield f"train.detectors.{name}.method", f"must not be none: recipe {section.recipe} groups ID images with unlabelled ones"
