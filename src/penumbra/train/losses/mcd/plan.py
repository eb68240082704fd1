"""train of a recipe of loss mcd: ID images and selected outliers -> a detector for each training seed."""

from collections.abc import Mapping

from penumbra.stage import Stage
from penumbra.train.engine import run


def main(stage: Stage) -> None:
    """Write data/detectors/DETECTOR: seed-K/{config.json, model.safetensors, mcd/} and history.csv."""
    run(stage, _train_seeds)


def _train_seeds(stage: Stage, seeds: Mapping[str, int]) -> None:
    from penumbra.train.losses.mcd.loss import McdLoss  # assembling needs no torch
    from penumbra.train.network.kept import train_seeds

    train_seeds(stage, seeds, McdLoss)
