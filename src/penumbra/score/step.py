"""score: every OOD score of every test image, from the outputs of a detector, for each of its training seeds."""

from pathlib import Path

import pandas as pd

from penumbra import scored
from penumbra.artifacts.outputs import IMAGES, read_keys, read_pass, saved_passes
from penumbra.runtime import setup
from penumbra.stage import Stage


def main(stage: Stage) -> None:
    """Write data/scores/DETECTOR.parquet.

    For each seed rows of test, ood, shifted and ID validation. Higher = more OOD. ID validation (group "val") is neither ID nor OOD
    test images: the unified score uses it.
    """

    def score(seed: int, path: Path) -> tuple[pd.DataFrame, dict[str, list[dict]]]:
        from penumbra.score.frames import score_frame  # assembling needs no torch

        setup()
        return score_frame(stage.params.score, read_pass(path), read_keys(path.with_name(IMAGES)))

    scored.run(stage, saved_passes(stage.read("outputs")), score)
