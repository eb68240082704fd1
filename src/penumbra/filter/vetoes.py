"""Vetoes: candidates that a person has taken out of all bands, in a CSV file that belongs into git.

Its columns are sample_id, image and reason. A sample_id is a number, and other parameters of synthesize make another picture of that
number: `image` is a digest of the one that was vetoed (`pictures.digest`). Who writes a line by hand may leave it empty.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from penumbra.artifacts.files import replace
from penumbra.errors import PenumbraError
from penumbra.filter import pictures

COLUMNS = ("sample_id", "image", "reason")
FOLDER = Path("vetoes")  # where `penumbra review` puts them
VETOED = "vetoed"  # beside the provenance of data/selections/METHOD.parquet: sample_id, band, confidence of each vetoed candidate
SHAPE = f"one candidate a line, `{','.join(COLUMNS)}`, commas within a value in quotes"


class Veto(NamedTuple):
    """Of which picture it is ("": of any), why (maybe empty), and the line that says so."""

    image: str
    reason: str
    line: int = 0


def read(path: Path) -> dict[str, Veto]:
    """The vetoes of a file by sample_id, in its order.

    Raises:
        PenumbraError: there is no such file, or a line of it cannot be understood; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets begin with a mark
    except FileNotFoundError:
        raise PenumbraError(f"{path}: does not exist. Make it with `penumbra review`, or take `veto` out of params.yaml.") from None
    except IsADirectoryError:
        raise PenumbraError(f"{path}: is a folder. Name a CSV file, {SHAPE}.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise PenumbraError(f"{path} line {line}: is not UTF-8 text. Save it as UTF-8.") from None
    found: dict[str, Veto] = {}
    for line, cells in _rows(path, text):
        if len(cells) != len(COLUMNS) or not cells[0]:
            raise PenumbraError(f"{path} line {line}: has another shape. Write {SHAPE}.")
        if cells[0] in found:
            raise PenumbraError(f"{path} line {line}: {cells[0]} is vetoed in line {found[cells[0]].line} already. Take one of them out.")
        found[cells[0]] = Veto(*cells[1:], line)
    return found


def _rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines below the names of the columns, each with its number; empty ones are passed over."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        if tuple(next(reader, ())) != COLUMNS:
            raise PenumbraError(f"{path} line 1: must name the columns, `{','.join(COLUMNS)}`.")
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise PenumbraError(f"{path} line {reader.line_num}: {error}. Write {SHAPE}.") from None


def write(path: Path, vetoes: Mapping[str, Veto]) -> None:
    """Write vetoes in the order of their sample_ids: one more is one line more for git.

    Raises:
        OSError: the file cannot be written; it is as it was.
    """
    with replace(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows((sample_id, veto.image, veto.reason) for sample_id, veto in sorted(vetoes.items()))


def images(outliers: Path, rows: Mapping[str, int], sample_ids: Iterable[str]) -> dict[str, str]:
    """The digest of the picture of each of these candidates; nothing of what is none.

    Args:
        outliers: data/outliers/METHOD.parquet.
        rows: of all candidates in it, by sample_id.
    """
    wanted = {rows[sample_id]: sample_id for sample_id in sample_ids if sample_id in rows}
    return {wanted[row]: pictures.digest(image) for row, image in pictures.encoded(outliers, wanted)}


def fault(sample_id: str, veto: Veto, rows: Mapping[str, int], seen: Mapping[str, str]) -> str | None:
    """Why a veto is of nothing that is there, in words; None if it is of a candidate.

    Args:
        rows: of all candidates, by sample_id.
        seen: their digests, as far as vetoes name one.
    """
    if sample_id not in rows:
        return "is no candidate"
    return "is another picture than the one that was vetoed" if veto.image and veto.image != seen[sample_id] else None


def check(path: Path, vetoes: Mapping[str, Veto], rows: Mapping[str, int], outliers: Path) -> None:
    """Every veto is of a candidate, and of the picture that was vetoed.

    Args:
        path, vetoes: the file and what `read` found in it.
        rows, outliers: see `images`.

    Raises:
        PenumbraError: one is not; names its line.
    """
    seen = images(outliers, rows, [sample_id for sample_id, veto in vetoes.items() if veto.image])
    for sample_id, veto in vetoes.items():
        if why := fault(sample_id, veto, rows, seen):
            raise PenumbraError(
                f"{path} line {veto.line}: {sample_id} {why} in {outliers}. Take the line out, or review the candidates again."
            )
