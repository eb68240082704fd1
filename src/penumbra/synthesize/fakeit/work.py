"""How much Fake-it has to do."""

from typing import TYPE_CHECKING

from penumbra.synthesize.fakeit.params import FakeIt

if TYPE_CHECKING:
    from penumbra.workflow.work import Units, Work


def candidates(p: FakeIt, work: "Work") -> int:
    return p.per_class * work.n.classes


def units(p: FakeIt, work: "Work") -> "Units":
    """Its UNet learns as that of in-painting does; images are drawn by passes of it as SONA's are."""
    learnt = work.n.train * p.epochs * work.unet()
    return {"pretrain-inpainting": learnt, "synthesize-sona": candidates(p, work) * (p.steps * work.unet() + work.vae())}
