"""train of a recipe of loss latent: representations of ID images and of selected outliers -> a detector for each training seed."""

from penumbra.stage import Stage
from penumbra.train.detectors import Train, run


def main(stage: Stage) -> None:
    """Write data/detectors/DETECTOR: seed-K/{config.json, model.safetensors} of a RepresentationDetector, and history.csv."""
    run(stage, _trainer)


def _trainer(stage: Stage) -> Train:
    from penumbra.train.losses.latent.seeds import trainer  # assembling needs no torch

    return trainer(stage)
