"""How much GOOD has to do."""

from typing import TYPE_CHECKING

from penumbra.synthesize.good.params import Good

if TYPE_CHECKING:
    from penumbra.workflow.work import Units, Work


def candidates(p: Good, work: "Work") -> int:
    pairs = [len(g.rho) * len(g.mu) if g.grid else len(g.rho) for g in p.guidances.values()]
    return sum(count * g.per_class * work.n.classes for count, g in zip(pairs, p.guidances.values(), strict=True))


def units(p: Good, work: "Work") -> "Units":
    """Steps of the UNet; at each, gradients through the autoencoder and the classifier."""
    judged = work.vae() + work.classifier(work.model["classifier"], p.classifier_size)
    guided = 3 * work.unet() + p.iterations * p.draws * 3 * judged
    return {"synthesize-good": candidates(p, work) * p.steps * p.recurrences * guided}
