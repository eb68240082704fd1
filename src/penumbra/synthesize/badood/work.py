"""How much Bad-OOD has to do."""

from typing import TYPE_CHECKING

from penumbra.synthesize.badood.params import BadOod

if TYPE_CHECKING:
    from penumbra.workflow.work import Units, Work


def candidates(p: BadOod, work: "Work") -> int:
    return work.n.train * p.per_image


def units(p: BadOod, work: "Work") -> "Units":
    """Steps of RDM, three passes for a guided one with its gradient, and MAGE's decoding."""
    rdm = work.model["rdm"]
    steps = (p.t / p.stride) * (1 + 2 * p.draws / p.every * (p.guidance == "minority"))
    return {"synthesize-badood": candidates(p, work) * (steps * rdm.depth * rdm.width**2 / 1e6 + 2 * p.decode_steps * work.mage())}
