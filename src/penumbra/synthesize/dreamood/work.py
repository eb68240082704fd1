"""How much Dream-OOD has to do."""

from typing import TYPE_CHECKING

from penumbra.synthesize.dreamood.params import DreamOod

if TYPE_CHECKING:
    from penumbra.workflow.work import Units, Work


def candidates(p: DreamOod, work: "Work") -> int:
    return p.per_class * work.n.classes


def units(p: DreamOod, work: "Work") -> "Units":
    """Its network learns as a classifier does; images are drawn by passes of the UNet as SONA's are, two a step."""
    learnt = work.n.train * p.embedding.epochs * work.classifier(p.embedding)
    return {"pretrain-classifier": learnt, "synthesize-sona": candidates(p, work) * (2 * p.steps * work.unet() + work.vae())}
