"""How much SONA has to do."""

from typing import TYPE_CHECKING

from penumbra.synthesize.sona.params import Sona

if TYPE_CHECKING:
    from penumbra.workflow.work import Units, Work


def candidates(p: Sona, work: "Work") -> int:
    return work.edited(p.splits)


def units(p: Sona, work: "Work") -> "Units":
    """Passes of the UNet, a pair for each guidance, and the autoencoder both ways."""
    passes = sum(p.stop) / 2 * 2 * (1 + p.remove + p.keep + p.add)
    return {"synthesize-sona": candidates(p, work) * (passes * work.unet() + work.vae())}
