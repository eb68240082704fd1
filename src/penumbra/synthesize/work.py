"""How much synthesize has to do: its rooms say it, each in a file `work.py` of its own.

candidates(p, work)  how many candidates its parameters ask for
units(p, work)       what they cost; a room that was not measured counts itself as work of stages that were
"""

from types import ModuleType
from typing import TYPE_CHECKING, Any

from penumbra import synthesize
from penumbra.registry import load, names

if TYPE_CHECKING:
    from penumbra.workflow.work import Entry, Units, Work


def room(p: Any) -> ModuleType | None:
    """What the room of a method's parameters says of its work; None where it says nothing."""
    return load(synthesize, p.method, "work") if "work" in names(load(synthesize, p.method)) else None


def candidates(p: Any, work: "Work") -> int:
    """How many candidates a method makes; one for each ID training image where its room does not say."""
    said = room(p)
    return said.candidates(p, work) if said else work.n.train


def units(work: "Work", entry: "Entry") -> "Units":
    """See the rooms; the method without outliers has nothing to do."""
    if entry.kind not in type(work.e.synthesize).model_fields:
        return {entry.name: 0.0}
    p = work.e.synthesize[entry.kind][entry.item]
    said = room(p)
    return said.units(p, work) if said else {}
