"""Answers as text for people, and as files for programs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from penumbra.artifacts.files import replace
from penumbra.artifacts.tables import write_parquet
from penumbra.errors import PenumbraError


def text(answers: pd.DataFrame) -> str:
    """Columns side by side: text to the left, numbers with four digits to the right, flags as yes and no."""
    columns = []
    for name, values in answers.items():
        of_text = not pd.api.types.is_numeric_dtype(values)
        cells = [name, *(_cell(value) for value in values.tolist())]
        width = max(map(len, cells))
        columns.append([cell.ljust(width) if of_text else cell.rjust(width) for cell in cells])
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))


def _cell(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:.4g}"


def _csv(path: Path, answers: pd.DataFrame, asked: dict[str, Any]) -> None:
    with replace(path) as temporary:
        answers.to_csv(temporary, index=False, lineterminator="\n")


def _jsonl(path: Path, answers: pd.DataFrame, asked: dict[str, Any]) -> None:
    with replace(path) as temporary:  # pandas itself would cut numbers to 15 digits
        rows = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in answers.to_dict("records"))
        temporary.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


WRITERS: dict[str, Callable[[Path, pd.DataFrame, dict[str, Any]], None]] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": write_parquet}


def check(path: Path) -> None:
    """Look at the name of an output before the work.

    Raises:
        PenumbraError: its suffix is unknown, or a folder lies there.
    """
    if path.suffix not in WRITERS:
        raise PenumbraError(f"{path}: ends in none of {', '.join(WRITERS)}, which say how to write it.")
    if path.is_dir():
        raise PenumbraError(f"{path}: is a folder. Name a file.")


def write(path: Path, answers: pd.DataFrame, asked: dict[str, Any]) -> None:
    """Write answers in the format of the suffix, with every digit.

    Args:
        asked: what was asked; in the metadata `penumbra` of Parquet, which alone has a place for it.

    Raises:
        PenumbraError: see `check`; the disk is full.
    """
    check(path)
    WRITERS[path.suffix](path, answers, asked)
