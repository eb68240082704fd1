"""The tables of columns in data/README.md."""

import re
from pathlib import Path

import pyarrow as pa

from penumbra.artifacts.images import IMAGE

PAGE = (Path(__file__).parents[1] / "data/README.md").read_text()
NAMES = {IMAGE: "image", pa.list_(pa.float32()): "list of float", pa.large_string(): "string"}


def rows(test: str) -> list[tuple[str, str, str]]:
    """Column, type and the last cell of each row of the table that names a test."""
    (table,) = re.findall(rf"tested: {re.escape(test)} -->\n((?:\|.*\n?)+)", PAGE)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert all(len(row) == 5 and all(row[:3]) and row[4] for row in cells), cells
    return [(row[0].strip("`"), row[1], row[4]) for row in cells]


def typed(schema: pa.Schema | dict[str, pa.DataType]) -> dict[str, str]:
    """Names and types of columns as the tables have them."""
    kinds = schema.items() if isinstance(schema, dict) else zip(schema.names, schema.types, strict=True)
    return {name: NAMES.get(kind, str(kind)) for name, kind in kinds}
