"""How much calibrate has to do."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penumbra.workflow.work import Entry, Units, Work


def units(work: "Work", entry: "Entry") -> "Units":
    """Images that the judge's networks see, times millions of multiplications."""
    return {"calibrate": (work.n.val + work.n.calibration) * work.networks(entry.item)}
