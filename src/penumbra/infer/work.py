"""How much infer has to do."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penumbra.workflow.work import Entry, Units, Work


def units(work: "Work", entry: "Entry") -> "Units":
    """Images that the detector's networks see, times millions of multiplications."""
    kind = work.e.recipes[work.e.train.detectors[entry.item].recipe].detector
    return {f"infer-{kind}": work.n.scored * work.networks(entry.item)}
