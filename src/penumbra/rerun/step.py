"""rerun: scores of every test image for which a network runs again, for each of its training seeds."""

from pathlib import Path

import pandas as pd

from penumbra import scored
from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.images import read_table
from penumbra.artifacts.outputs import KEYS
from penumbra.runtime import setup
from penumbra.stage import Stage

FILES = ("test", "ood", "shifted", "val")  # whose images are scored, as those of data/scores


def main(stage: Stage) -> None:
    """Write data/scores/rerun/DETECTOR.parquet.

    Rows are those of data/scores/DETECTOR.parquet: seed, sample_id, and a column for each of rerun.scores; higher = more OOD.
    """

    def score(seed: int, directory: Path) -> tuple[pd.DataFrame, dict[str, list[dict]]]:
        from penumbra.rerun.frames import score_frame  # assembling needs no torch

        device = setup()
        keys = {file: read_table(stage.read("images") / f"{file}.parquet", KEYS).to_pandas() for file in (*FILES, "train")}
        paths = {file: stage.read("images") / f"{file}.parquet" for file in (*FILES, "train", "calibration")}
        return score_frame(stage.params.rerun.scores, directory, device, paths, keys)

    scored.run(stage, saved_seeds(stage.read("detectors")), score)
