"""grid@DETECTOR: every OOD score of the images of all grids, by a network, for each of its training seeds."""

from pathlib import Path

import pandas as pd

from penumbra import scored
from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.outputs import IMAGES, read_keys, read_pass, saved_passes
from penumbra.runtime import setup
from penumbra.stage import Stage


def main(stage: Stage) -> None:
    """Write data/scores/grid/DETECTOR.parquet.

    Columns seed, grid, sample_id, semantic, covariate, and the scores of data/scores/DETECTOR.parquet, fitted as there; higher = more OOD.
    """

    def score(seed: int, directory: Path) -> tuple[pd.DataFrame, dict[str, list[dict]]]:
        from penumbra.grid.frames import grid_frame  # assembling needs no torch
        from penumbra.models.inference import Inference

        device = setup()
        path = saved_passes(stage.read("outputs"))[seed]
        grids = stage.within("grids", [*stage.params.grid.morphs, *stage.params.grid.folder])
        made, keys = read_pass(path), read_keys(path.with_name(IMAGES))
        return grid_frame(stage.params.score, made, keys, Inference(directory, device), grids), {}  # what was tried stands in data/scores

    scored.run(stage, saved_seeds(stage.read("detectors")), score)
