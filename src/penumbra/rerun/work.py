"""How much rerun has to do. No run with it was measured."""

from math import prod
from typing import TYPE_CHECKING

from penumbra.rerun.scores import RERUN

if TYPE_CHECKING:
    from penumbra.workflow.work import Entry, Units, Work

PASSES = 3  # of the network for an image: one, and its gradient


def units(work: "Work", entry: "Entry") -> "Units":
    """Images that the detector's networks see as those of infer, times millions of multiplications; of every value that is tried."""
    loss = work.e.recipes[work.e.train.detectors[entry.item].recipe].loss
    scores = [score for score in work.e.rerun.scores.values() if RERUN[score.score].loss in ("", loss)]
    tried = sum(prod(len(value) for _, value in score if isinstance(value, list)) for score in scores)
    return {"infer-network": PASSES * tried * work.n.scored * work.networks(entry.item)}
