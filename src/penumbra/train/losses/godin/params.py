"""Parameters of a recipe of loss godin."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from penumbra.train.network.params import NetworkRecipe
from penumbra.values import Fault

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Recipe(NetworkRecipe):
    """Cross-entropy of h(x) / g(x) (Hsu et al. 2020); there is nothing that beta could weigh.

    Attributes:
        similarity: of h to each class: DeConf-I, -E or -C of the paper.
    """

    loss: Literal["godin"]
    similarity: Literal["inner", "euclidean", "cosine"]

    @property
    def caption(self) -> str:
        width = f" of width {self.width}" if self.of_resnet else ""
        how = f"{self.architecture}{width}, {self.epochs} epochs, batches of {self.batch_size}"
        return f"{how}, cross-entropy of h(x) / g(x), h {self.similarity}"


def faults(experiment: "Experiment") -> Iterator[Fault]:
    own = experiment.recipes_of(Recipe)
    for key, recipe in own.values():
        if recipe.beta:
            yield f"{key}.beta", "must be 0: the loss has one term"
    for name, section in experiment.train.detectors.items():
        if section.recipe in own and section.method != "none":
            yield f"train.detectors.{name}.method", f"must be none: recipe {section.recipe} learns from ID images alone"
