"""The numbers that the papers print, and which of them stand beside which of ours. They are data: no code holds one.

papers.csv has a line for each number of the papers' result tables:

- paper, table, row: where it is printed. A row that the paper names by a group and a label is "GROUP, LABEL".
- data_set: the ID data, and behind a slash the OOD test set; near, far or average where it is a mean over several.
- metric, value: as printed. FPR95 (ID positive), AUROC, AUPR, accuracies and shares are in percent.
- note: its spread, and what is uncertain about it.

beside.csv says which row stands beside what of ours: a table of ours, a name in it (a detector or a method), and by which score or band.
"""

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from penumbra.errors import PenumbraError

FOLDER = Path(__file__).parent
PERCENT = ("FPR95", "AUROC", "AUPR", "ID accuracy", "OOD-I share", "OOD-II share", "OOD-III share")
MEANS = ("near", "far", "average")
Numbers = Mapping[tuple[str, str], float]  # by metric and one of MEANS; "" for what is of no OOD set


@functools.cache
def read(name: str) -> pd.DataFrame:
    """A file of this folder as text; do not change it."""
    return pd.read_csv(FOLDER / f"{name}.csv", dtype=str, keep_default_na=False)


def place(source: str) -> tuple[str, str]:
    """Paper and table of a source such as "SONA, Table 4"."""
    paper, _, table = source.partition(", ")
    return paper, table


def share(metric: str, value: str) -> float:
    """A printed number as we count: what is printed in percent as a share."""
    return round(float(value) / 100, 6) if metric in PERCENT else float(value)


def printed(source: str, row: str) -> Numbers:
    """The means that a paper prints in a row of a table, and its numbers that are of no OOD set.

    Of a row "ROW / SET" the numbers of that OOD set instead, as those of none.

    Raises:
        PenumbraError: the paper has no such row, or prints a mean of it for several ID data sets.
    """
    table = read("papers")
    (paper, name), (heading, _, one) = place(source), row.partition(" / ")
    found = table[(table.paper == paper) & (table.table == name) & (table.row == heading)]
    numbers: dict[tuple[str, str], float] = {}
    for each in found.itertuples():
        group = each.data_set.partition(" / ")[2]
        if group not in ((one,) if one else ("", *MEANS)):
            continue
        key = each.metric, "" if one else group
        if key in numbers:
            raise PenumbraError(f"papers.csv: {source}, row {row} has several values of {each.metric} {group}.")
        numbers[key] = share(each.metric, each.value)
    if found.empty or (one and not numbers):
        raise PenumbraError(f"papers.csv: {source} has no row {row!r}.")
    return numbers


def value(numbers: Numbers, metric: str, group: str = "") -> float:
    """One of them: of that group, or the average over all sets where the paper does not tell near from far; NaN if there is none."""
    return numbers.get((metric, group), numbers.get((metric, "average"), np.nan) if group in MEANS else np.nan)


def beside(table: str) -> pd.DataFrame:
    """Rows name, by, source, row of beside.csv for one table of ours."""
    found = read("beside")
    return found[found.table == table]


def numbers_beside(table: str, name: str, by: str, paper: str | None = None) -> Numbers:
    """What a paper prints of the thing of that name; nothing where it prints nothing.

    Args:
        table: of ours: bands, types or ablations.
        name: a detector or a method.
        by: a score or a band.
        paper: whose numbers, where several papers have some.
    """
    found = beside(table)
    found = found[(found["name"] == name) & (found.by == by) & (paper is None or found.source.str.startswith(f"{paper}, "))]
    return printed(found.source.iloc[0], found.row.iloc[0]) if len(found) else {}
