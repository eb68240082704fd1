"""grid@DETECTOR: every OOD score of the images of all grids, by a network, for each of its training seeds."""

from pathlib import Path

import pandas as pd

from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.images import read_table
from penumbra.artifacts.outputs import IMAGES, read_keys, read_pass, saved_passes
from penumbra.artifacts.tables import write_parquet
from penumbra.runtime import setup
from penumbra.stage import Stage


def main(stage: Stage) -> None:
    """Score what is left to this process; without a part, write data/scores/grid/DETECTOR.parquet.

    Columns seed, grid, sample_id, semantic, covariate, and the scores of data/scores/DETECTOR.parquet, fitted as there; higher = more OOD.
    """
    seeds = saved_seeds(stage.read("detectors"))
    units = {f"seed-{seed}.parquet": seed for seed in seeds}
    for unit in stage.todo(units):
        frame = _score_seed(stage, units[unit], seeds[units[unit]])
        frame.insert(0, "seed", units[unit])
        write_parquet(stage.scratch / unit, frame, stage.provenance)
    if stage.part is None:
        frames = [read_table(stage.scratch / unit).to_pandas() for unit in units]
        write_parquet(stage.write(), pd.concat(frames, ignore_index=True), stage.provenance)
        stage.finish()


def _score_seed(stage: Stage, seed: int, directory: Path) -> pd.DataFrame:
    from penumbra.grid.frames import grid_frame  # assembling needs no torch
    from penumbra.models.inference import Inference

    device = setup()
    path = saved_passes(stage.read("outputs"))[seed]
    grids = stage.within("grids", [*stage.params.grid.morphs, *stage.params.grid.folder])
    return grid_frame(stage.params.score, read_pass(path), read_keys(path.with_name(IMAGES)), Inference(directory, device), grids)
