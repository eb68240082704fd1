"""What every kind of detector has in common: a unit for each training seed, put together in one table."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.images import read_table
from penumbra.artifacts.tables import write_parquet
from penumbra.runtime import setup
from penumbra.stage import Stage

if TYPE_CHECKING:
    import torch


def run(stage: Stage, score_seed: "Callable[[Stage, Path, torch.device], pd.DataFrame]") -> None:
    """Score what is left to this process; without a part, write data/scores/DETECTOR.parquet.

    Args:
        stage: a stage of score.
        score_seed: rows of the detector that is saved in a folder.
    """
    seeds = saved_seeds(stage.read("detectors"))
    units = {f"seed-{seed}.parquet": seed for seed in seeds}
    if todo := stage.todo(units):
        device = setup()
        for unit in todo:
            frame = score_seed(stage, seeds[units[unit]], device)
            frame.insert(0, "seed", units[unit])
            write_parquet(stage.scratch / unit, frame, stage.provenance)
    if stage.part is None:
        frames = [read_table(stage.scratch / unit).to_pandas() for unit in units]
        write_parquet(stage.write(), pd.concat(frames, ignore_index=True), stage.provenance)
        stage.finish()
