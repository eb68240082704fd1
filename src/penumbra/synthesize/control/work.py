"""How much a control has to do."""

from typing import TYPE_CHECKING

from penumbra.synthesize.control.params import Control

if TYPE_CHECKING:
    from penumbra.workflow.work import Units, Work


def candidates(p: Control, work: "Work") -> int:
    return work.edited(p.splits)


def units(p: Control, work: "Work") -> "Units":
    """The autoencoder both ways."""
    return {"synthesize-control": candidates(p, work) * work.vae()}
