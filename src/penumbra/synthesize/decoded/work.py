"""How much there is to do for candidates that another decoder paints."""

from typing import TYPE_CHECKING

from penumbra.synthesize.badood import work as badood
from penumbra.synthesize.decoded.params import Decoded

if TYPE_CHECKING:
    from penumbra.workflow.work import Units, Work


def candidates(p: Decoded, work: "Work") -> int:
    return badood.candidates(work.e.synthesize.badood[p.of], work)


def units(p: Decoded, work: "Work") -> "Units":
    """Two passes of the network for each step, at what a step of SONA's UNet costs."""
    return {"synthesize-sona": candidates(p, work) * p.steps * 2 * work.decoder(p.decoder)}
