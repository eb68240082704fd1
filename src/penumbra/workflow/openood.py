"""`penumbra openood`: scores of our detectors in the files of OpenOOD's evaluator."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_table
from penumbra.errors import PenumbraError
from penumbra.experiment.load import validate
from penumbra.experiment.schema import Experiment

if TYPE_CHECKING:
    import pandas as pd

SCORES = Path("data/scores")


def openood(directory: Path, detectors: Sequence[str], score: str | None) -> str:
    """Write DIRECTORY/DETECTOR for each of the detectors; see `benchmark.openood.write`.

    Args:
        directory: a new one, or an empty one.
        detectors: names in train.detectors; none: all of them.
        score: a column of data/scores; None: the headline score of each.

    Returns:
        What was written, in words.

    Raises:
        PenumbraError: the directory holds something; there is no such detector or score; a detector is not scored yet.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise PenumbraError(f"{directory}: exists and is not empty. Name a new directory.")
    experiment = validate("params.yaml")
    known = experiment.train.detectors
    if unknown := [name for name in detectors if name not in known]:
        raise PenumbraError(f"params.yaml: there is no detector {unknown[0]!r} in train.detectors. Choose of: {', '.join(known)}.")
    from penumbra.benchmark import openood as layout  # pandas takes its time

    chosen = {name: score or _headline(experiment, name) for name in detectors or known}
    with replace(directory) as temporary:
        for name, column in chosen.items():
            frame = _scores(experiment, name)
            if column not in frame.select_dtypes("floating"):
                found = ", ".join(frame.select_dtypes("floating"))
                raise PenumbraError(f"{SCORES}/{name}.parquet: has no score {column!r}. Choose of: {found}.")
            layout.write(temporary / name, column, frame)
    return "\n".join(f"{directory / name}: {column}" for name, column in chosen.items())


def _headline(experiment: Experiment, detector: str) -> str:
    recipe = experiment.recipes[experiment.train.detectors[detector].recipe]
    return experiment.benchmark.clip_score if recipe.detector == "clip" else experiment.benchmark.score


def _scores(experiment: Experiment, detector: str) -> "pd.DataFrame":
    """Rows of data/scores, with those for which the network ran again."""
    from penumbra.benchmark.evaluation import check_finite
    from penumbra.benchmark.found import beside

    path = SCORES / f"{detector}.parquet"
    if not path.exists():
        raise PenumbraError(f"{path}: is not there yet. Run `penumbra repro score@{detector}` to make it.")
    again = SCORES / "rerun" / f"{detector}.parquet"
    further = read_table(again).to_pandas() if detector in experiment.rerun.detectors and again.exists() else None
    frame = beside(detector, read_table(path).to_pandas(), further)
    check_finite(detector, frame)
    return frame
