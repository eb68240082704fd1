"""score: every OOD score of every test image, from the outputs of a detector, for each of its training seeds."""

from pathlib import Path

import pandas as pd

from penumbra.artifacts.images import read_provenance, read_table
from penumbra.artifacts.outputs import IMAGES, read_keys, read_pass, saved_passes
from penumbra.artifacts.tables import SWEPT, write_parquet
from penumbra.runtime import setup
from penumbra.stage import Stage


def main(stage: Stage) -> None:
    """Score what is left to this process; without a part, write data/scores/DETECTOR.parquet.

    For each seed rows of test, ood, shifted and ID validation. Higher = more OOD. ID validation (group "val") is neither ID nor OOD
    test images: the unified score uses it. What sweeps tried stands beside the provenance, by seed and score.
    """
    seeds = saved_passes(stage.read("outputs"))
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


def _score_seed(stage: Stage, path: Path) -> tuple[pd.DataFrame, dict[str, list[dict]]]:
    from penumbra.score.frames import score_frame  # assembling needs no torch

    setup()
    return score_frame(stage.params.score, read_pass(path), read_keys(path.with_name(IMAGES)))
