"""Parameters of a recipe of loss latent."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from penumbra.values import Fault, Layers, Natural, NotNegative, Optimised, Positive, ShareBelowOne, Width

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Recipe(Optimised):
    """A perceptron on representations: cross-entropy and the logistic loss of a head on the energy (Bad-OOD, appendix I and eq. 5).

    Attributes:
        width, depth: of the hidden layers, and their number.
    """

    learns_from: ClassVar[str] = "representations"
    detector: ClassVar[str] = "network"
    trains: ClassVar[bool] = True
    loss: Literal["latent"]
    width: Width
    depth: Layers
    outliers_per_id: Positive
    beta: NotNegative
    phi_hidden: Width
    phi_monotone: bool
    reduction: Literal["sum_of_means", "mean_of_all"]
    momentum: ShareBelowOne
    warmup_epochs: Natural

    @property
    def caption(self) -> str:
        """The recipe in words, for the report."""
        layers = f"{self.depth} hidden layer{'s' if self.depth > 1 else ''} of width {self.width} on the encoder's representation"
        return f"{layers}, {self.epochs} epochs, batches of {self.batch_size}, cross-entropy + {self.beta:g} × energy uncertainty"


def faults(experiment: "Experiment") -> Iterator[Fault]:
    own = experiment.recipes_of(Recipe)
    for key, recipe in own.values():
        if recipe.warmup_epochs > recipe.epochs:
            yield f"{key}.warmup_epochs", f"must be in 0..{recipe.epochs} ({key}.epochs)"
    represented = [name for name, method in experiment.methods.items() if getattr(method, "represented", False)]
    for name, detector in experiment.train.detectors.items():
        if detector.recipe in own and detector.method in set(experiment.methods) - set(represented):
            reason = f"recipe {detector.recipe} learns from representations, which candidates of {detector.method} are not made of"
            yield f"train.detectors.{name}.method", f"must be one of {', '.join(['none', *represented])}: {reason}"
