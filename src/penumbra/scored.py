"""A table of scores: rows of each training seed of a detector, one block of work a seed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from penumbra import blocks
from penumbra.artifacts.images import read_provenance, read_table
from penumbra.artifacts.tables import SWEPT, write_parquet
from penumbra.stage import Stage

T = TypeVar("T")


def run(stage: Stage, seeds: Mapping[int, T], score: Callable[[int, T], tuple[pd.DataFrame, dict[str, Any]]]) -> None:
    """Score the seeds that are left to this process; without a part, write the output: `seed` and the columns of every seed's frame.

    Args:
        seeds: what there is of each training seed.
        score: the rows of a seed, and what sweeps tried. That stands beside the provenance, by seed and score, unless it is nothing.
    """

    def write(path: Path, seed: int) -> None:
        frame, tried = score(seed, seeds[seed])
        frame.insert(0, "seed", seed)
        write_parquet(path, frame, stage.provenance | {SWEPT: tried})

    def assemble(paths: list[Path]) -> None:
        frames = [read_table(path).to_pandas() for path in paths]
        found = {str(seed): read_provenance(path)[SWEPT] for seed, path in zip(seeds, paths, strict=True)}
        tried = {SWEPT: found} if any(found.values()) else {}
        write_parquet(stage.write(), pd.concat(frames, ignore_index=True), stage.provenance | tried)

    blocks.run(stage, {f"seed-{seed}.parquet": seed for seed in seeds}, lambda: write, assemble)
