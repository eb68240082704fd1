"""How much prepare has to do."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penumbra.workflow.work import Entry, Units, Work


def units(work: "Work", entry: "Entry") -> "Units":
    """Millions of pixels."""
    return {"prepare": work.pixels(work.n.scored + work.n.world + work.n.clip_world)}
