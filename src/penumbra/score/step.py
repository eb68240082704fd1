"""score: every OOD score of every test image, from one forward pass, for each training seed of a detector."""

import pandas as pd

from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.images import read_table
from penumbra.artifacts.tables import write_parquet
from penumbra.runtime import setup
from penumbra.stage import Stage


def main(stage: Stage) -> None:
    """Write data/scores/DETECTOR.parquet: for each seed rows of test, ood, shifted, ID validation and reconstructions.

    Higher = more OOD. ID validation (group "val") and reconstructed ID test images (group "reconstruction", where the stage reads
    outliers/reconstruction) are neither ID nor OOD test images: the unified score and the probe of the benchmark use them.
    """
    seeds = saved_seeds(stage.read("detectors"))
    units = {f"seed-{seed}.parquet": seed for seed in seeds}
    if todo := stage.todo(units):
        from penumbra.score.units import score_seed  # assembling needs no torch

        device = setup(threads=1)  # parts run side by side
        for unit in todo:
            frame = score_seed(stage, seeds[units[unit]], device)
            frame.insert(0, "seed", units[unit])
            write_parquet(stage.scratch / unit, frame, stage.provenance)
    if stage.part is None:
        frames = [read_table(stage.scratch / unit).to_pandas() for unit in units]
        write_parquet(stage.write(), pd.concat(frames, ignore_index=True), stage.provenance)
        stage.finish()
