"""Losses with a module that scores need: it is saved beside the network, in a folder named as the loss."""

from pathlib import Path
from typing import ClassVar

from penumbra.artifacts.networks import Saved
from penumbra.models.classifiers.detector import AnyDetector
from penumbra.stage import Stage
from penumbra.train.detectors import Train
from penumbra.train.network import timed
from penumbra.train.network.params import NetworkRecipe
from penumbra.train.network.timed import TimedLoss


class KeptLoss(TimedLoss):
    """A loss whose module `kept` is saved.

    Attributes:
        kept: what scores need beside the network; a subclass makes it.
        made: the losses of the training that goes on (`trainer`).
    """

    kept: Saved
    made: "ClassVar[list[KeptLoss]]" = []

    def __init__(self, detector: AnyDetector, p: NetworkRecipe):
        super().__init__(detector, p)
        self.made.append(self)


def trainer(stage: Stage, loss: type[KeptLoss]) -> Train:
    """As `trainer` of losses that know the steps of an epoch; in the folder of a seed lies a further one, named as the loss."""
    made: list[KeptLoss] = []
    train_network = timed.trainer(stage, type(loss.__name__, (loss,), {"made": made}))

    def train(folder: Path, seed: int) -> None:
        made.clear()
        train_network(folder, seed)
        made[0].kept.save_pretrained(folder / made[0].p.loss, stage.provenance)

    return train
