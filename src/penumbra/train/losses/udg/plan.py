"""train of a recipe of loss udg: ID images and unlabelled ones, the selected outliers -> a detector for each training seed."""

from collections.abc import Mapping

from penumbra.stage import Stage
from penumbra.train.engine import run


def main(stage: Stage) -> None:
    """Write data/detectors/DETECTOR: seed-K/{config.json, model.safetensors} and history.csv."""
    run(stage, _train_seeds)


def _train_seeds(stage: Stage, seeds: Mapping[str, int]) -> None:
    from penumbra.train.losses.udg.loss import UdgLoss  # assembling needs no torch
    from penumbra.train.network.timed import train_seeds

    train_seeds(stage, seeds, UdgLoss)
