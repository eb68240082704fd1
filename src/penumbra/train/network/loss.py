"""What a loss is to the training of a network: of which a room of `train/losses` makes one."""

from typing import Any, ClassVar

from torch import Tensor

from penumbra.models.classifiers.detector import AnyDetector
from penumbra.train.network.images import Batch, Images
from penumbra.train.network.params import NetworkRecipe
from penumbra.training import Stateful


class Loss:
    """Of one detector; the methods of the class are asked before there is one.

    Args:
        detector: the network, on its device.
        p: the recipe.

    Attributes:
        stateful: what of the loss changes while training, by name.
        remedies: the parameter to lower where a part of the loss is not finite, by the name of the part.
    """

    remedies: ClassVar[dict[str, str]] = {}

    def __init__(self, detector: AnyDetector, p: NetworkRecipe):
        self.detector, self.p = detector, p
        self.stateful: dict[str, Stateful] = {}

    @staticmethod
    def head(p: NetworkRecipe) -> dict[str, Any]:
        """Arguments of `Detector` beside its sizes."""
        return {}

    @staticmethod
    def outliers(p: NetworkRecipe, images: int) -> int:
        """How many outliers stand in a batch beside so many ID images, where they make no pairs."""
        return images

    @staticmethod
    def paired(p: NetworkRecipe) -> bool:
        """Whether an outlier stands beside the ID image that it was made from."""
        return False

    @staticmethod
    def reconstructed(p: NetworkRecipe) -> bool:
        """Whether what the autoencoder keeps of ID images follows them as further ID images."""
        return False

    def look(self, train: Images, outliers: Images | None) -> None:
        """Look at all images before an epoch begins; draws are of torch's global generator."""

    def __call__(self, logits: Tensor, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Scalars: `loss`, to be minimised, and its parts.

        Args:
            logits: [B, N], float32.
            features: before the last layer [B, D], float32.
            batch: see there.
        """
        raise NotImplementedError
