"""How much report has to do."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penumbra.workflow.work import Entry, Units, Work


def units(work: "Work", entry: "Entry") -> "Units":
    """Detectors."""
    return {"report": float(len(work.e.train.detectors))}
