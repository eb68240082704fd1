"""train of a recipe of loss clip: CLIP with negative labels, as it is or tuned on outliers -> a detector for each training seed."""

from collections.abc import Mapping

from penumbra.stage import Stage
from penumbra.train.engine import run


def main(stage: Stage) -> None:
    """Write data/detectors/DETECTOR: seed-K/{config.json, model.safetensors} of a ClipDetector, and history.csv."""
    run(stage, _train_seeds)


def _train_seeds(stage: Stage, seeds: Mapping[str, int]) -> None:
    from penumbra.train.losses.clip.seeds import train_seeds  # assembling needs no torch

    train_seeds(stage, seeds)
