"""How much benchmark has to do."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penumbra.workflow.work import Entry, Units, Work


def units(work: "Work", entry: "Entry") -> "Units":
    """Rows of scores."""
    return {"benchmark": float(len(work.e.train.detectors) * len(work.e.train.seeds) * work.n.scored)}
