"""synthesize-none: no outliers, so that a detector without any is a line of train.detectors like the others."""

import pyarrow as pa

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import ImageWriter
from penumbra.stage import Stage
from penumbra.synthesize.outliers import write_selection

COLUMNS = {"sample_id": pa.string(), "source_id": pa.string(), "label": pa.int64()}


def main(stage: Stage) -> None:
    """Write data/outliers/none.parquet and its selection, without a row."""
    with replace(stage.write("outliers")) as temporary, ImageWriter(temporary, COLUMNS, stage.provenance):
        pass
    write_selection(stage, [])
