"""How much the boundary GAN has to do."""

from math import log2
from typing import TYPE_CHECKING

from penumbra.synthesize.boundarygan.params import BoundaryGan

if TYPE_CHECKING:
    from penumbra.workflow.work import Units, Work

SMALLEST = 4  # side of the first feature map


def candidates(p: BoundaryGan, work: "Work") -> int:
    return p.count


def units(p: BoundaryGan, work: "Work") -> "Units":
    """Passes of its three networks as they learn, as a classifier learns; drawing is little beside it.

    Classifier and discriminator see ID images, drawn ones, and drawn ones for the generator. Each halving doubles the channels, so all
    levels of a network cost the same.
    """
    level = log2(work.size / SMALLEST) * (p.channels * work.size) ** 2 / 1e6
    generator, discriminator = 18 * level, 2 * level
    return {"pretrain-classifier": work.n.train * p.epochs * (generator + 3 * discriminator + 3 * work.classifier(p.classifier))}
