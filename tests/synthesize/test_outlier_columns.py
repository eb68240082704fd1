"""data/README.md has every column of candidates, with its type and the programs that write it, and no other."""

import re

import pytest

from data_columns import rows, typed
from penumbra import synthesize
from penumbra.artifacts.images import IMAGE
from penumbra.registry import load, rooms
from penumbra.synthesize import none
from penumbra.synthesize.good import plan as good

WRITTEN = {name: load(synthesize, name, "plan").COLUMNS for name in rooms(synthesize)} | {"none": none.COLUMNS}
WRITTEN["good"] = WRITTEN["good"] | good.FEATURES
ROWS = rows("tests/synthesize/test_outlier_columns.py")


def programs(cell: str) -> set[str]:
    """`all`, `all but` some, or some."""
    named = set(re.findall(r"`([\w-]+)`", cell))
    assert named <= set(WRITTEN), cell
    return set(WRITTEN) - named if cell.startswith("all") else named


@pytest.mark.parametrize("program", WRITTEN)
def test_each_program_writes_what_the_page_says(program):
    said = [(name, kind) for name, kind, cell in ROWS if program in programs(cell)]
    assert len(said) == len(dict(said))
    assert dict(said) == typed({"image": IMAGE, **WRITTEN[program]})
