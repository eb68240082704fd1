"""How much SynOOD has to do."""

from typing import TYPE_CHECKING

from penumbra.synthesize.synood.params import SynOod

if TYPE_CHECKING:
    from penumbra.workflow.work import Units, Work


def candidates(p: SynOod, work: "Work") -> int:
    edited = work.edited(p.splits)
    return min(edited, (p.per_class or edited) * work.n.classes)


def units(p: SynOod, work: "Work") -> "Units":
    """Steps that are left of the UNet; at each, gradients through it, the autoencoder and the classifier."""
    judged = work.unet() + work.vae() + work.classifier(work.model["classifier"], p.classifier_size)
    step = 2 * work.unet() + p.iterations * 3 * judged
    return {"synthesize-synood": candidates(p, work) * max(int(p.steps * p.strength), 1) * step}
