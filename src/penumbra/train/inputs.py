"""What a detector is trained on besides ID images: the candidates that its bands name, their ID images, and the recipe's own needs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penumbra.artifacts.images import read_table
from penumbra.errors import PenumbraError
from penumbra.stage import Stage

CLASSIFIER, RECONSTRUCTION, REPAINTING = "models/classifier", "controls/reconstruction", "controls/repainting"


def chosen(stage: Stage) -> tuple[Any, Any]:
    """The detector's line of params.yaml, and its recipe."""
    detector = stage.params.train.detectors[stage.item]
    return detector, stage.params.train.recipes[detector.recipe]


def selected(stage: Stage) -> tuple[list[int], int]:
    """Rows of data/outliers/METHOD.parquet that the bands name, in ascending order, and how many of them a training seed takes.

    With bands [random] all rows may be taken, and as many as the mid band holds are.

    Raises:
        PenumbraError: selection and candidates do not belong together, or there is none.
    """
    detector, _ = chosen(stage)
    path = stage.read(f"outliers/{detector.method}")
    sample_ids = read_table(path, ["sample_id"])["sample_id"].cast(pa.string())
    if detector.method == "none":
        return [], 0
    if not len(sample_ids):
        raise PenumbraError(f"{path}: holds no candidate. Look at what synthesize of {detector.method} is given.")
    rows, count = [], 0
    for band in detector.bands:
        selection = stage.read(f"selections/{detector.method}/{band}")
        names = pq.read_schema(selection).names
        table = read_table(selection, ["sample_id", *(["band"] if "band" in names else [])])
        chosen_ids = table["sample_id"].cast(pa.string())
        found = pc.index_in(chosen_ids, value_set=sample_ids)
        if found.null_count:
            unknown = chosen_ids.filter(pc.is_null(found))[0]
            raise PenumbraError(f"{selection}: {unknown} is no candidate of {path}. Run `dvc repro` to make it again.")
        rows += found.to_pylist()
        count += pc.sum(pc.equal(table["band"], "mid"), min_count=0).as_py() if band == "random" else len(table)
    if not count:
        wanted = " and ".join(detector.bands)
        bounds = f"filter.{detector.method}.{'upper' if detector.bands == ['upper'] else 'mid'}"
        raise PenumbraError(f"{path}: {wanted} holds none of {len(sample_ids)} candidates. Move {bounds}.")
    return sorted(rows), count


def check_trainable(stage: Stage) -> None:
    """No candidate was made from a test image.

    Raises:
        PenumbraError: one was.
    """
    method = chosen(stage)[0].method
    path = stage.read(f"outliers/{method}")
    if "split" in pq.read_schema(path).names and "test" in read_table(path, ["split"])["split"].to_pylist():
        raise PenumbraError(f"{path}: holds edited test images, on which no detector may train. Take test out of splits in synthesize.")


def numbers(stage: Stage, path: Path, source_ids: Sequence[str | None]) -> list[int]:
    """Row of images/train that each image of the file `path` was made from, by its source_id [N]; -1 for one that names none.

    Raises:
        PenumbraError: a training image that does not exist is named.
    """
    row_of = {name: row for row, name in enumerate(read_table(stage.read("images/train"), ["sample_id"])["sample_id"].to_pylist())}
    if unknown := [source_id for source_id in source_ids if source_id and source_id not in row_of]:
        raise PenumbraError(f"{path}: source_id {unknown[0]} is no image of images/train. Run `dvc repro` to make it again.")
    return [row_of[source_id] if source_id else -1 for source_id in source_ids]
