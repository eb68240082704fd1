"""score@clip, score@clip-METHOD: every OOD score of every test image from its cached CLIP features, for each training seed."""

from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.score.engine import run
from penumbra.stage import Stage

if TYPE_CHECKING:
    import pandas as pd
    import torch


def main(stage: Stage) -> None:
    """Write data/scores/DETECTOR.parquet: rows and columns as of any detector, and the columns mcm and neglabel.

    predicted, msp, max_logit and energy are of the logits cos/tau to the ID labels, knn is of the image features behind the
    detector's layer, and confidence is P(OOD) by neglabel.
    """
    run(stage, _score_seed)


def _score_seed(stage: Stage, directory: Path, device: "torch.device") -> "pd.DataFrame":
    from penumbra.score.clip_units import score_seed  # assembling needs no torch

    return score_seed(stage, directory, device)
