"""What sweeps of score.more tried and took, from what stands beside data/scores."""

import pandas as pd

from penumbra.artifacts.images import read_provenance
from penumbra.artifacts.tables import SWEPT
from penumbra.stage import Stage

COLUMNS = ("detector", "score", "seed", "values", "auroc", "taken")


def table(stage: Stage) -> pd.DataFrame:
    """A row for each combination of values: auroc is that of calibration OOD against ID validation images, by which one is taken."""
    rows = []
    names = [*stage.params.train.detectors, *(f"rerun/{name}" for name in stage.params.rerun.detectors)]
    for name, path in stage.within("scores", names).items():
        detector = name.removeprefix("rerun/")
        for seed, scores in read_provenance(path).get(SWEPT, {}).items():
            for score, candidates in scores.items():
                key = {"detector": detector, "score": score, "seed": int(seed)}
                rows += [key | candidate | {"values": described(candidate["values"])} for candidate in candidates]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["score", "detector", "seed"], kind="stable", ignore_index=True)


def described(values: dict) -> str:
    """Such as "gamma 0.1, classes 100"; null is all that there are."""
    return ", ".join(f"{key} {'all' if value is None else value}" for key, value in values.items())
