"""Parameters of every recipe that trains a network on images."""

from typing import ClassVar

from penumbra.values import Natural, NotNegative, ResNetRecipe


class NetworkRecipe(ResNetRecipe):
    """A ResNet and how it is trained: cross-entropy + beta * what the loss says of outliers."""

    detector: ClassVar[str] = "network"
    trains: ClassVar[bool] = True
    nesterov: bool
    beta: NotNegative
    crop_padding: Natural
    flip: bool

    @property
    def of_outliers(self) -> str:
        """What stands beside the cross-entropy, for the report."""
        raise NotImplementedError

    @property
    def caption(self) -> str:
        """The recipe in words, for the report."""
        return (
            f"{self.architecture} of width {self.width}, {self.epochs} epochs, batches of {self.batch_size}, "
            f"cross-entropy + {self.beta:g} × {self.of_outliers}"
        )
