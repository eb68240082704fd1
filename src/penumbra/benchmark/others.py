"""Scores made elsewhere: read from files that params.yaml names, held against the test images, evaluated as ours are.

A file is CSV or Parquet with a row for each image. `image` is its sample_id (data/images/test.parquet and ood.parquet), `score` a number.
Optional: `seed`, where several networks were trained, and `predicted`, the label of the class that an ID image is taken for.
"""

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from penumbra.benchmark import evaluation
from penumbra.benchmark.metrics import METRICS
from penumbra.errors import PenumbraError

if TYPE_CHECKING:
    from penumbra.benchmark.params import Other

SCORE = "given"  # what their score is called in tables
INDEX = "__index_level_"  # so pandas calls the row numbers that it writes beside columns
GROUPS = ("id", "near", "far")
NEEDED, OPTIONAL = ("image", "score"), ("seed", "predicted")
IMAGES = "Score each image of data/images/test.parquet and ood.parquet, by its sample_id."
READABLE = "a CSV file with a heading line, or a Parquet file (.parquet)"


def table(entries: "dict[str, Other]", scores: pd.DataFrame) -> pd.DataFrame:
    """Metrics of what was made elsewhere.

    Args:
        entries: benchmark.others.
        scores: rows of data/scores of any detector of ours, which name the test images.

    Returns:
        Rows detector, score, set, group, METRIC_mean, METRIC_std, id_acc_mean, id_acc_std (NaN where no class is predicted), seeds, path:
        one for each OOD set; near and far are means over their sets.

    Raises:
        PenumbraError: a file cannot be read, or does not give each test image one finite score; names file and line.
    """
    images = scores[(scores.seed == scores.seed.min()) & scores.group.isin(GROUPS)][["sample_id", "set", "group", "label"]]
    frames = {name: read(Path(entry.path), entry.higher, images) for name, entry in entries.items()}
    metrics = pd.concat(evaluation.evaluate_detector(name, frame, [SCORE]) for name, frame in frames.items())
    naming = [evaluation.id_accuracy(name, frame) for name, frame in frames.items() if "predicted" in frame]
    accuracy = pd.concat(naming) if naming else pd.DataFrame(columns=["detector", "seed", "id_acc"])
    found = evaluation.spread(metrics, ["detector", "score", "set", "group"], list(METRICS))
    found = found.merge(evaluation.spread(accuracy, ["detector"], ["id_acc"]), on="detector", how="left")
    seeds = [frames[name].seed.nunique() for name in found.detector]
    return found.assign(seeds=seeds, path=[entries[name].path for name in found.detector])


def read(path: Path, higher: str, images: pd.DataFrame) -> pd.DataFrame:
    """The scores of a file, as rows of data/scores: seed, the columns of `images`, SCORE (higher = more OOD), predicted if it is there.

    Args:
        path: of the file.
        higher: ood | id, what a higher score of the file means.
        images: sample_id, set, group and label of every test image; label below 0 of OOD.

    Raises:
        PenumbraError: see `table`.
    """
    known, classes = set(images.sample_id), int(images.label.max()) + 1
    met: dict[tuple[int, str], str] = {}
    rows = []
    for place, row in _rows(path):
        image, score = row["image"], _number(place, row["score"])
        seed = _whole(place, "seed", row["seed"]) if "seed" in row else 0
        if not isinstance(image, str) or image not in known:
            raise PenumbraError(f"{place}: {image!r:.80} is no test image. {IMAGES}")
        if (first := met.setdefault((seed, image), place)) != place:
            raise PenumbraError(f"{place}: {image} has a score already, at {first}. Give it one, or tell seeds apart in a column seed.")
        found = {"seed": seed, "sample_id": image, SCORE: score if higher == "ood" else -score}
        if "predicted" in row:
            found["predicted"] = _whole(place, "predicted", row["predicted"], classes)
        rows.append(found)
    if not rows:
        raise PenumbraError(f"{path}: holds no score. Give every test image one.")
    frames = []
    for seed, of_seed in pd.DataFrame(rows).groupby("seed"):
        if len(of_seed) < len(known):
            first = images.sample_id[~images.sample_id.isin(of_seed.sample_id)].iloc[0]
            lacking = f"{len(known) - len(of_seed):,} of {len(known):,} test images have no score (seed {seed})"
            raise PenumbraError(f"{path}: {lacking}, the first is {first}. {IMAGES}")
        frames.append(images.merge(of_seed, on="sample_id"))
    return pd.concat(frames, ignore_index=True)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and values of each row."""
    try:
        yield from _of_parquet(path) if path.suffix == ".parquet" else _of_csv(path)
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise PenumbraError(f"{path}: cannot be read ({error}). Give {READABLE}.") from error


def _of_csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        _check_columns(path, list(reader.fieldnames or ()))
        for row in reader:
            place = f"{path}:{reader.line_num}"
            if None in row or None in row.values():
                raise PenumbraError(f"{place}: has not {len(reader.fieldnames)} values, as its heading line has. Correct the line.")
            yield place, row


def _of_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    file, number = pq.ParquetFile(path), 0
    names = [name for name in file.schema_arrow.names if not name.startswith(INDEX)]
    _check_columns(path, names)
    for batch in file.iter_batches(columns=names):
        for row in batch.to_pylist():
            number += 1
            yield f"{path}, row {number}", row


def _check_columns(path: Path, names: list[str]) -> None:
    lacking = [name for name in NEEDED if name not in names]
    if lacking or (unknown := [name for name in names if name not in NEEDED + OPTIONAL]) or len(set(names)) < len(names):
        wrong = f"has no column {lacking[0]}" if lacking else f"has a column {unknown[0]!r:.80}" if unknown else "has a column twice"
        raise PenumbraError(f"{path}: {wrong}. It needs {' and '.join(NEEDED)}, and may have {' and '.join(OPTIONAL)}.")


def _number(place: str, value: Any) -> float:
    """A finite number."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise PenumbraError(f"{place}: score is {value!r:.80}. Give a finite number.")
    return found


def _whole(place: str, column: str, value: Any, below: int = 2**31) -> int:
    """A whole number of 0 or more."""
    try:
        found = int(str(value))
    except ValueError:
        found = -1
    if not 0 <= found < below:
        raise PenumbraError(f"{place}: {column} is {value!r:.80}. Give a whole number in 0..{below - 1}.")
    return found
