"""rerun: scores of every test image for which a network runs again, for each of its training seeds."""

from pathlib import Path

import pandas as pd

from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.images import read_provenance, read_table
from penumbra.artifacts.outputs import KEYS
from penumbra.artifacts.tables import SWEPT, write_parquet
from penumbra.runtime import setup
from penumbra.stage import Stage

FILES = ("test", "ood", "shifted", "val")  # whose images are scored, as those of data/scores


def main(stage: Stage) -> None:
    """Score what is left to this process; without a part, write data/scores/rerun/DETECTOR.parquet.

    Rows are those of data/scores/DETECTOR.parquet: seed, sample_id, and a column for each of rerun.scores; higher = more OOD.
    """
    seeds = saved_seeds(stage.read("detectors"))
    units = {f"seed-{seed}.parquet": seed for seed in seeds}
    for unit in stage.todo(units):
        frame, tried = _score_seed(stage, seeds[units[unit]])
        frame.insert(0, "seed", units[unit])
        write_parquet(stage.scratch / unit, frame, stage.provenance | {SWEPT: tried})
    if stage.part is None:
        frames = [read_table(stage.scratch / unit).to_pandas() for unit in units]
        found = {str(seed): read_provenance(stage.scratch / unit)[SWEPT] for unit, seed in units.items()}
        tried = {SWEPT: found} if any(found.values()) else {}
        write_parquet(stage.write(), pd.concat(frames, ignore_index=True), stage.provenance | tried)
        stage.finish()


def _score_seed(stage: Stage, directory: Path) -> tuple[pd.DataFrame, dict[str, list[dict]]]:
    from penumbra.rerun.frames import score_frame  # assembling needs no torch

    device = setup()
    keys = {file: read_table(stage.read("images") / f"{file}.parquet", KEYS).to_pandas() for file in (*FILES, "train")}
    paths = {file: stage.read("images") / f"{file}.parquet" for file in (*FILES, "train", "calibration")}
    return score_frame(stage.params.rerun.scores, directory, device, paths, keys)
