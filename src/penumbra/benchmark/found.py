"""What the experiment has made, as far as the benchmark reads it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd
import pyarrow.parquet as pq

from penumbra.artifacts.images import read_table
from penumbra.artifacts.tables import read_json
from penumbra.benchmark import evaluation
from penumbra.benchmark.bands import DISTANCES
from penumbra.errors import PenumbraError
from penumbra.stage import Stage

Frames = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Found:
    """What the experiment has made, by the names of params.yaml; what else lies on the disk is not looked at.

    Attributes:
        scores: rows of data/scores by detector.
        outliers, selections: measured columns of data/outliers, rows of data/selections, by variant of a method.
        methods: the method of each variant in `outliers`.
        calibration: content of data/calibration, by the first variant that its detector judges.
        probes: rows of data/probes by control.
    """

    scores: Frames
    outliers: Frames
    selections: Frames
    methods: dict[str, str]
    calibration: dict[str, dict]
    probes: Frames

    def of(self, method: str) -> Frames:
        """The candidates of a method, by variant."""
        return {name: frame for name, frame in self.outliers.items() if self.methods[name] == method}


def find(stage: Stage, modules: Mapping[str, ModuleType]) -> Found:
    """Read it.

    Args:
        stage: benchmark.
        modules: of the methods, which say what columns of their candidates they need.

    Raises:
        PenumbraError: a score is not a number.
    """
    params, detectors = stage.params, stage.params.train.detectors
    again = _tables(stage, "scores", params.rerun.detectors, "rerun/")
    scores = {name: beside(name, frame, again.get(name)) for name, frame in _tables(stage, "scores", detectors).items()}
    for name, frame in scores.items():
        evaluation.check_finite(name, frame)
    first: dict[str, str] = {}
    for method, section in params.filter.items():
        first.setdefault(section.judge, method)
    files = stage.within("calibration", params.calibrate, ".json")
    calibration = {first[name]: read_json(path) for name, path in files.items() if name in first}
    methods = {name: variant.method for name, variant in params.synthesize.items()}
    paths = stage.within("outliers", methods)
    further = {name: getattr(modules.get(methods[name]), "COLUMNS", ()) for name in paths}
    return Found(
        scores=scores,
        outliers={name: _outliers(path, further[name]) for name, path in paths.items()},
        selections=_tables(stage, "selections", params.filter),
        methods=methods,
        calibration=calibration,
        probes=_tables(stage, "probes", params.controls),
    )


def _tables(stage: Stage, folder: str, names: Iterable[str], within: str = "") -> Frames:
    paths = stage.within(folder, [f"{within}{name}" for name in names])
    return {name.removeprefix(within): read_table(path).to_pandas() for name, path in paths.items()}


def beside(detector: str, scores: pd.DataFrame, again: pd.DataFrame | None) -> pd.DataFrame:
    """Scores of the kept outputs, and those for which the network ran again.

    Raises:
        PenumbraError: they are not of the same images.
    """
    if again is None:
        return scores
    keys = ["seed", "sample_id"]
    if not scores[keys].equals(again[keys]):
        raise PenumbraError(f"data/scores/rerun/{detector}.parquet: is of other images or seeds. Run `penumbra repro rerun@{detector}`.")
    return pd.concat([scores, again.drop(columns=keys)], axis=1)


def _outliers(path: Path, further: Sequence[str]) -> pd.DataFrame:
    """The columns of the candidates that all methods share, as far as they have them, and further ones; no pixels."""
    wanted = ("sample_id", "label", *DISTANCES, *further)
    return read_table(path, [column for column in pq.read_schema(path).names if column in wanted]).to_pandas()


def is_clip(stage: Stage, detector: str) -> bool:
    """Whether a detector is one of CLIP."""
    return stage.params.train.recipes[stage.params.train.detectors[detector].recipe].detector == "clip"


def headline(stage: Stage, detector: str) -> str:
    """The headline score of a detector."""
    return stage.params.benchmark.clip_score if is_clip(stage, detector) else stage.params.benchmark.score


def method_of(stage: Stage, detector: str) -> str | None:
    """The method that a detector's outliers are of (badood, good, ...); None if it has none."""
    variant = stage.params.train.detectors[detector].method
    return stage.params.synthesize[variant].method if variant in stage.params.synthesize else None


def joined(frames: Iterable[pd.DataFrame], columns: Sequence[str] = ()) -> pd.DataFrame:
    """All rows; where there is no frame, an empty one of these columns."""
    found = list(frames)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(columns))
