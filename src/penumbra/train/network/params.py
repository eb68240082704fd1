"""Parameters of every recipe that trains a network on images."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, get_args

from penumbra.values import AnyArchitecture, Architecture, Fault, Natural, NotNegative, Odd, ResNetRecipe, ResNetWidth, Width

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment

SIZES = ("width", "stem_kernel", "stem_stride", "stem_pool")


class NetworkRecipe(ResNetRecipe):
    """A network and how it is trained: cross-entropy + beta * what the loss says of outliers.

    Other networks than our ResNets have no sizes, which are null then. From scratch they take images as they are; one that resizes
    them starts from a classifier.
    """

    learns_from: ClassVar[str] = "images"
    detector: ClassVar[str] = "network"
    input_size: ClassVar[int | None] = None
    epochs: Natural  # 0: the classifier that training would start from
    architecture: AnyArchitecture
    width: ResNetWidth | None
    stem_kernel: Odd | None
    stem_stride: Width | None
    stem_pool: bool | None
    nesterov: bool
    beta: NotNegative
    crop_padding: Natural
    flip: bool

    @property
    def trains(self) -> bool:
        """Whether anything learns; else the detector is pretrain.classifier as it is."""
        return self.epochs > 0

    @property
    def of_resnet(self) -> bool:
        """Whether the network is one of our ResNets."""
        return self.architecture in get_args(Architecture)

    @property
    def of_outliers(self) -> str:
        """What stands beside the cross-entropy, for the report."""
        raise NotImplementedError

    @property
    def caption(self) -> str:
        """The recipe in words, for the report."""
        network = f"{self.architecture} of width {self.width}" if self.of_resnet else self.architecture
        if not self.trains:
            return f"{network}, pretrain.classifier as it is"
        return f"{network}, {self.epochs} epochs, batches of {self.batch_size}, cross-entropy + {self.beta:g} × {self.of_outliers}"


def faults(experiment: "Experiment") -> Iterator[Fault]:
    for name, (key, recipe) in experiment.recipes_of(NetworkRecipe).items():
        for size in SIZES:
            if (recipe[size] is not None) != recipe.of_resnet:
                yield f"{key}.{size}", "must have a value where architecture is a ResNet, and be null elsewhere"
        if not recipe.trains and name not in experiment.train.recipes.classifier:
            yield f"{key}.epochs", "must be at least 1; what trains nothing is a classifier, under train.recipes.classifier"
