"""score: every OOD score of every test image, from one forward pass, for each training seed of a detector."""

from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.score.engine import run
from penumbra.stage import Stage

if TYPE_CHECKING:
    import pandas as pd
    import torch


def main(stage: Stage) -> None:
    """Write data/scores/DETECTOR.parquet: for each seed rows of test, ood, shifted and ID validation.

    Higher = more OOD. ID validation (group "val") is neither ID nor OOD test images: the unified score uses it.
    """
    run(stage, _score_seed)


def _score_seed(stage: Stage, directory: Path, device: "torch.device") -> "pd.DataFrame":
    from penumbra.score.units import score_seed  # assembling needs no torch

    return score_seed(stage, directory, device)
