"""Losses with a module that scores need: it is saved beside the network, in a folder named as the loss."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from penumbra.artifacts import files
from penumbra.artifacts.networks import Saved
from penumbra.models.classifiers.detector import AnyDetector
from penumbra.stage import Stage
from penumbra.train.network import timed
from penumbra.train.network.params import NetworkRecipe
from penumbra.train.network.timed import TimedLoss


class KeptLoss(TimedLoss):
    """A loss whose module `kept` is saved.

    Attributes:
        kept: what scores need beside the network; a subclass makes it.
        made: the losses of the training that goes on (`train_seeds`).
    """

    kept: Saved
    made: "ClassVar[list[KeptLoss]]" = []

    def __init__(self, detector: AnyDetector, p: NetworkRecipe):
        super().__init__(detector, p)
        self.made.append(self)


def train_seeds(stage: Stage, seeds: Mapping[str, int], loss: type[KeptLoss]) -> None:
    """As `train_seeds` of losses that know the steps of an epoch; in the folder of each unit lies a further one, named as the loss.

    A unit is whole or is not there: the network alone is made in a folder of its own, from which a killed job goes on.
    """
    networks = replace(stage, scratch_root=stage.scratch / "networks")
    for unit, seed in seeds.items():
        made: list[KeptLoss] = []
        timed.train_seeds(networks, {unit: seed}, type(loss.__name__, (loss,), {"made": made}))
        with files.replace(stage.scratch / unit) as folder:
            shutil.copytree(networks.scratch / unit, folder)
            made[0].kept.save_pretrained(folder / made[0].p.loss, stage.provenance)
