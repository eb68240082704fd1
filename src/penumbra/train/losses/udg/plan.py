"""train of a recipe of loss udg: ID images and unlabelled ones, the selected outliers -> a detector for each training seed."""

from penumbra.stage import Stage
from penumbra.train.detectors import Train, run


def main(stage: Stage) -> None:
    """Write data/detectors/DETECTOR: seed-K/{config.json, model.safetensors} and history.csv."""
    run(stage, _trainer)


def _trainer(stage: Stage) -> Train:
    from penumbra.train.losses.udg.loss import UdgLoss  # assembling needs no torch
    from penumbra.train.network.timed import trainer

    return trainer(stage, UdgLoss)
