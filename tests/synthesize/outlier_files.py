"""Outputs of synthesisers in the tests."""

from pathlib import Path

import pyarrow.parquet as pq

from penumbra.stage import Stage


def outliers_of(folder: Path, method: str) -> dict[str, Path]:
    """What every method that makes outliers writes."""
    return {f"outliers/{method}": folder / f"{method}.parquet", f"selections/{method}/all": folder / f"{method}/all.parquet"}


def selection_of(stage: Stage) -> list[str]:
    """The candidates that the selection `all` of a method names, which has no other column."""
    table = pq.read_table(stage.write("selections"))
    assert table.column_names == ["sample_id"]
    return table["sample_id"].to_pylist()
