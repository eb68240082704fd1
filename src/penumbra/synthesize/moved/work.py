"""How much there is to do for moved candidates."""

from typing import TYPE_CHECKING

from penumbra.synthesize.badood import work as badood
from penumbra.synthesize.moved.params import Moved

if TYPE_CHECKING:
    from penumbra.workflow.work import Units, Work


def candidates(p: Moved, work: "Work") -> int:
    return badood.candidates(p, work)


def units(p: Moved, work: "Work") -> "Units":
    """As for Bad-OOD, and MAGE's decoding once more."""
    ((name, guided),) = badood.units(p, work).items()
    return {name: guided + candidates(p, work) * 2 * p.decode_steps * work.mage()}
