"""What semantic and covariate shift do to every score, cell by cell of a grid (Bad-OOD, 4.4, Fig. 5-8)."""

from collections.abc import Iterable

import pandas as pd
from scipy.stats import spearmanr

from penumbra.artifacts.images import read_table
from penumbra.benchmark import evaluation
from penumbra.benchmark.found import joined
from penumbra.stage import Stage

CELL = ["grid", "detector", "score", "semantic", "covariate"]
SHIFTS = ("semantic", "covariate")


def cells_by_seed(detector: str, scores: pd.DataFrame, more: Iterable[str]) -> pd.DataFrame:
    """Rows *CELL, seed, images, value: of how many images a cell holds the mean of a score.

    Args:
        detector: its name.
        scores: columns of data/scores/grid/DETECTOR.parquet.
        more: names of the scores in score.more.
    """
    names = evaluation.scores_of(scores, more)
    cells = scores.groupby(["grid", "seed", *SHIFTS])[names]
    values = cells.mean().reset_index().melt(["grid", "seed", *SHIFTS], names, "score", "value")
    counts = cells.size().rename("images").reset_index()
    return values.merge(counts).assign(detector=detector)[[*CELL, "seed", "images", "value"]]


def sensitivity_by_seed(cells: pd.DataFrame) -> pd.DataFrame:
    """Rows grid, detector, score, seed, semantic, covariate: Spearman's correlation of a cell's value with the level of each shift.

    1: every step of the shift raises the score, whatever the other; 0: the score does not follow it. A score that is equal in all cells
    follows none.
    """
    rows = []
    for (grid, detector, score, seed), part in cells.groupby(["grid", "detector", "score", "seed"], sort=False):
        flat = part.value.nunique() == 1
        found = {shift: 0.0 if flat else spearmanr(part[shift], part.value).statistic for shift in SHIFTS}
        rows.append({"grid": grid, "detector": detector, "score": score, "seed": seed} | found)
    return pd.DataFrame(rows)


def tables(stage: Stage) -> dict[str, pd.DataFrame]:
    """grid: the mean of every score in every cell, and its spread over seeds; sensitivity: how far a score follows either shift.

    Nothing where no detector scores a grid.

    Raises:
        PenumbraError: a score is not a number.
    """
    names = {name: f"grid/{name}" for name in stage.params.grid.detectors}
    frames = {name: read_table(path).to_pandas() for name, path in stage.within("scores", names.values()).items()}
    found = {name: frames[path] for name, path in names.items() if path in frames}
    if not found:
        return {}
    for name, frame in found.items():
        evaluation.check_finite(names[name], frame)
    by_seed = joined(cells_by_seed(name, frame, stage.params.score.more) for name, frame in found.items())
    return {
        "grid": evaluation.spread(by_seed, [*CELL, "images"], ["value"]),
        "sensitivity": evaluation.spread(sensitivity_by_seed(by_seed), CELL[:3], list(SHIFTS)),
    }
