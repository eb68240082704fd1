"""JSON, CSV and Parquet tables with equal bytes for equal content."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.artifacts.files import replace

if TYPE_CHECKING:
    import pandas as pd

SWEPT = "swept"  # beside the provenance of data/scores: seed -> score -> the fields of scores.sweep.Candidate, of each that was tried


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write JSON that `dvc metrics` reads. NaN is refused (ValueError): it is not JSON."""
    with replace(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_csv(path: str | os.PathLike, frame: "pd.DataFrame") -> None:
    """Write a CSV without index, six significant digits, that `dvc plots` reads."""
    with replace(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def write_parquet(path: str | os.PathLike, frame: "pd.DataFrame", provenance: dict) -> None:
    """Write a Parquet table whose schema metadata `penumbra` holds the JSON `provenance` (parameters and versions)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({"penumbra": json.dumps(provenance, sort_keys=True)})
    with replace(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
