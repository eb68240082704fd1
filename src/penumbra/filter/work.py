"""How much filter has to do."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penumbra.workflow.work import Entry, Units, Work


def units(work: "Work", entry: "Entry") -> "Units":
    """Candidates that the judge's networks see, times millions of multiplications."""
    return {"filter": work.candidates(entry.item) * work.networks(work.e.filter[entry.item].judge)}
