"""data/features/contexts.csv: what ID images show beside their main object, as a table that one can read and edit."""

import csv
import os
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

from penumbra.artifacts.files import replace
from penumbra.errors import PenumbraError


@dataclass(frozen=True)
class Context:
    """A row of the table.

    Attributes:
        sample_id: of the image.
        name: of its ID class (column `class`).
        labels: between commas, what a prompt takes; may be empty.
        answer: of the captioner, untouched.
    """

    sample_id: str
    name: str
    labels: str
    answer: str


COLUMNS = tuple({"name": "class"}.get(field.name, field.name) for field in fields(Context))


def write_contexts(path: str | os.PathLike, rows: Iterable[Context]) -> None:
    """Write the table as CSV in UTF-8, rows in the given order; answers may hold line breaks and quotes."""
    with replace(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")  # else a lone carriage return would end a row
        writer.writerow(COLUMNS)
        writer.writerows(astuple(row) for row in rows)


def read_rows(path: str | os.PathLike) -> list[Context]:
    """The rows of the table, in its order; further columns are passed over.

    Raises:
        PenumbraError: the file is missing or not UTF-8, lacks a column, or has a row without all of them or a sample_id twice.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:  # spreadsheets put a byte order mark before the header
            reader = csv.DictReader(file, strict=True)
            header = list(reader.fieldnames or [])
            absent = [column for column in COLUMNS if column not in header]
            if absent:
                raise PenumbraError(
                    f"{path}: has no column {', '.join(absent)}; its columns are {', '.join(header)}. Put commas between them."
                )
            found: dict[str, Context] = {}
            for row in reader:
                if None in row or None in row.values():
                    raise PenumbraError(
                        f"{path}: the row that ends in line {reader.line_num} has not {len(header)} fields. "
                        "Put labels with commas in quotes."
                    )
                context = Context(*(row[column] for column in COLUMNS))
                if context.sample_id in found:
                    raise PenumbraError(
                        f"{path}: line {reader.line_num} has {context.sample_id} a second time. Leave one row for an image."
                    )
                found[context.sample_id] = context
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PenumbraError(f"{path}: cannot be read as a CSV table in UTF-8 ({error}).") from error
    return list(found.values())


def read_contexts(path: str | os.PathLike) -> dict[str, str]:
    """sample_id -> labels text, which is empty where an image has none.

    Raises:
        PenumbraError: see `read_rows`.
    """
    return {row.sample_id: row.labels for row in read_rows(path)}
