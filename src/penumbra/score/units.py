"""The units of score: the scores of all test images by the detector of one training seed."""

from pathlib import Path

import pandas as pd
import torch

from penumbra.models.inference import Inference
from penumbra.score.frames import Outputs, score_frame
from penumbra.scores import energy
from penumbra.stage import Stage


def score_seed(stage: Stage, directory: Path, device: torch.device) -> pd.DataFrame:
    """Scores of all images by one saved detector, each from one forward pass; the confidence is by the energy."""
    detector = Inference(directory, device)

    def ask(name: str) -> Outputs:
        logits, features = detector.outputs(stage.read(name))
        return Outputs(logits, features, energy(logits), {})

    return score_frame(stage, ask)
