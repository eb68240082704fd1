"""The engine of synthesize: it makes candidates in blocks with fixed boundaries, so that parts and restarts compute the same batches."""

from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import ImageWriter
from penumbra.errors import PenumbraError
from penumbra.runtime import progress
from penumbra.stage import Stage

C = TypeVar("C")  # a candidate before it is made
Row = dict[str, Any]  # "image" as encoded bytes, and every column


def run(
    stage: Stage,
    candidates: Sequence[C],
    size: int,
    columns: dict[str, pa.DataType],
    load: Callable[[], Callable[[Sequence[C]], Iterable[Row]]],
    report: Callable[[Stage], None] | None = None,
    output: str = "outliers",
) -> None:
    """Make the blocks that are left to this process; without a part, write data/outliers/METHOD.parquet of all blocks.

    A killed job goes on after the last whole block.

    Args:
        candidates: what is to be made, in the order of the rows.
        size: candidates in a block.
        columns: name -> Arrow type of the provenance columns.
        load: loads the models and returns what makes the rows of one block; not called where nothing is left to make, so that
            assembling needs no model and no torch.
        report: tells what came out, once the file is written.
        output: the folder of data/ that the file is written to; of outliers, the selection of all of them is written, too.
    """
    blocks = {f"block-{start // size:06d}.parquet": candidates[start : start + size] for start in range(0, len(candidates), size)}
    todo = stage.todo(blocks)
    make = load() if todo else None
    for block in progress(todo, stage.name):
        with replace(stage.scratch / block) as temporary, ImageWriter(temporary, columns, {}) as writer:
            for row in make(blocks[block]):
                _check_finite(stage, row)
                writer.add(row.pop("image"), **row)
    if stage.part is not None:
        return
    sample_ids = []
    with replace(stage.write(output)) as temporary, ImageWriter(temporary, columns, stage.provenance) as writer:
        for block in blocks:
            for row in pq.read_table(stage.scratch / block).to_pylist():
                sample_ids.append(row["sample_id"])
                writer.add(row.pop("image")["bytes"], **row)
    if output == "outliers":
        write_selection(stage, sample_ids)
    if report:
        report(stage)
    stage.finish()


def _check_finite(stage: Stage, row: Row) -> None:
    """Nothing that was measured is NaN.

    Raises:
        PenumbraError: something is; names the candidate and the column.
    """
    for name, value in row.items():
        if isinstance(value, float) and not isfinite(value):
            raise PenumbraError(
                f"{stage.name}: {name} of {row['sample_id']} is {value}. Take less guidance (params.yaml, synthesize), or train the model "
                "that draws again with a lower learning_rate."
            )


def write_selection(stage: Stage, sample_ids: list[str]) -> None:
    """Write the selection `all`: column sample_id [N]. Those of bands are filter's."""
    with replace(stage.write("selections")) as temporary:
        pq.write_table(pa.table({"sample_id": pa.array(sample_ids, pa.string())}), temporary, compression="zstd")
