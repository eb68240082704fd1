"""Candidates, block by block, into one file with their selection: what every method has in common."""

from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from penumbra import blocks
from penumbra.artifacts.files import replace
from penumbra.artifacts.images import ImageWriter
from penumbra.errors import PenumbraError
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
    """Write data/outliers/METHOD.parquet.

    Args:
        candidates: what is to be made, in the order of the rows.
        size: candidates in a block.
        columns: name -> Arrow type of the provenance columns.
        load: loads the models and returns what makes the rows of one block; not called where nothing is left to make, so that
            assembling needs no model and no torch.
        report: tells what came out, once the file is written.
        output: the folder of data/ that the file is written to; of outliers, the selection of all of them is written, too.
    """

    def loaded() -> Callable[[Path, Sequence[C]], None]:
        make = load()

        def write(path: Path, block: Sequence[C]) -> None:
            with ImageWriter(path, columns, {}) as writer:
                for row in make(block):
                    _check_finite(stage, row)
                    writer.add(row.pop("image"), **row)

        return write

    def assemble(paths: list[Path]) -> None:
        sample_ids = []
        with replace(stage.write(output)) as temporary, ImageWriter(temporary, columns, stage.provenance) as writer:
            for path in paths:
                for row in pq.read_table(path).to_pylist():
                    sample_ids.append(row["sample_id"])
                    writer.add(row.pop("image")["bytes"], **row)
        if output == "outliers":
            write_selection(stage, sample_ids)
        if report:
            report(stage)

    blocks.run(stage, blocks.cut(candidates, size, ".parquet"), loaded, assemble)


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
