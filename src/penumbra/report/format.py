"""Numbers and tables as text for the page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO

import pandas as pd
from ruamel.yaml import YAML

MISSING = "–"


@dataclass(frozen=True)
class Table:
    """A table of text; the first column heads its row. `best` holds the (row, column) of cells in bold, `warned` of those to beware of."""

    header: list[str]
    rows: list[list[str]]
    best: set[tuple[int, int]] = field(default_factory=set)
    warned: set[tuple[int, int]] = field(default_factory=set)


def number(value: float, digits: int = 3) -> str:
    """A plain number; a dash where there is none; no zero has a sign."""
    return MISSING if pd.isna(value) else f"{value:z.{digits}f}"


def count(value: float) -> str:
    """A whole number with thousands apart."""
    return MISSING if pd.isna(value) else f"{int(value):,}"


def percent(mean: float, std: float = float("nan")) -> str:
    """A share in percent, with its spread where it has one."""
    if pd.isna(mean):
        return MISSING
    return f"{100 * mean:.1f}" if pd.isna(std) else f"{100 * mean:.1f} ± {100 * std:.1f}"


def plain(mean: float, std: float = float("nan"), digits: int = 3) -> str:
    """A plain number, with its spread where it has one."""
    return number(mean, digits) if pd.isna(std) else f"{number(mean, digits)} ± {number(std, digits)}"


def measures(
    frame: pd.DataFrame, index: list[str], columns: Mapping[str, tuple[str, bool]], text: Mapping[str, str] | None = None
) -> Table:
    """A table of `COLUMN_mean` and `COLUMN_std` in percent, the best mean of each column in bold.

    Args:
        frame: one row for each row of the table.
        index: columns that come first, as text.
        columns: name -> (heading, whether higher is better).
        text: headings of the index columns, where they differ from the names.
    """
    header = [(text or {}).get(name, name) for name in index] + [heading for heading, _ in columns.values()]
    rows = [
        [str(row[name]) for name in index] + [percent(row[f"{name}_mean"], row[f"{name}_std"]) for name in columns]
        for row in frame.to_dict("records")
    ]
    best = set()
    for place, (name, (_, higher)) in enumerate(columns.items()):
        means = frame[f"{name}_mean"].round(3)
        if means.nunique() > 1:
            winners = means == (means.max() if higher else means.min())
            best |= {(row, len(index) + place) for row, wins in enumerate(winners) if wins}
    return Table(header, rows, best)


def once(rows: list[list[str]]) -> list[list[str]]:
    """The rows with a first cell that repeats the one above left blank."""
    return [["", *row[1:]] if above is not None and above[0] == row[0] else row for above, row in zip([None, *rows], rows, strict=False)]


def yaml(content: Mapping) -> str:
    """Nested parameters as YAML."""
    writer, stream = YAML(typ="safe", pure=True), StringIO()
    writer.default_flow_style = None
    writer.sort_base_mapping_type_on_output = False
    writer.width = 110
    writer.dump(json.loads(json.dumps(content)), stream)
    return stream.getvalue()
