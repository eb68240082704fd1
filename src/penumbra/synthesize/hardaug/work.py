"""How much hard augmentations have to do."""

from typing import TYPE_CHECKING

from penumbra.synthesize.hardaug.params import HardAugmentation

if TYPE_CHECKING:
    from penumbra.workflow.work import Units, Work


def candidates(p: HardAugmentation, work: "Work") -> int:
    return work.n.train * p.per_image


def units(p: HardAugmentation, work: "Work") -> "Units":
    """Pixels that are read, changed and written, as prepare does it."""
    return {"prepare": work.pixels(candidates(p, work))}
