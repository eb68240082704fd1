"""How much CutPaste has to do."""

from typing import TYPE_CHECKING

from penumbra.synthesize.cutpaste.params import CutPaste

if TYPE_CHECKING:
    from penumbra.workflow.work import Units, Work


def candidates(p: CutPaste, work: "Work") -> int:
    return work.n.train * p.per_image


def units(p: CutPaste, work: "Work") -> "Units":
    """Pixels that are read, changed and written, as prepare does it."""
    return {"prepare": work.pixels(candidates(p, work))}
