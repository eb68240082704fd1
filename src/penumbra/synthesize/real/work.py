"""How much there is to do for real outliers."""

from typing import TYPE_CHECKING

from penumbra.synthesize.real.params import Real

if TYPE_CHECKING:
    from penumbra.workflow.work import Units, Work


def candidates(p: Real, work: "Work") -> int:
    """At most: of all sets of the world."""
    return work.n.world


def units(p: Real, work: "Work") -> "Units":
    """Pixels that are read and written, as prepare does it."""
    return {"prepare": work.pixels(candidates(p, work))}
