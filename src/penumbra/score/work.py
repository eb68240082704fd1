"""How much score has to do."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penumbra.workflow.work import Entry, Units, Work


def units(work: "Work", entry: "Entry") -> "Units":
    """Rows: images of each seed; of a control those of every detector."""
    seeds, detectors = len(work.e.train.seeds), len(work.e.train.detectors)
    if entry.kind == "control":
        return {"score-control": float(work.n.test * seeds * detectors)}
    return {"score": float(work.n.scored * seeds)}
