"""train of a recipe of loss clip: CLIP with negative labels, as it is or tuned on outliers -> a detector for each training seed."""

from penumbra.stage import Stage
from penumbra.train.detectors import Train, run


def main(stage: Stage) -> None:
    """Write data/detectors/DETECTOR: seed-K/{config.json, model.safetensors} of a ClipDetector, and history.csv."""
    run(stage, _trainer)


def _trainer(stage: Stage) -> Train:
    from penumbra.train.losses.clip.seeds import trainer  # assembling needs no torch

    return trainer(stage)
