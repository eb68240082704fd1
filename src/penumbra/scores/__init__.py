"""OOD scores, one file each; what a score is: `base.py`.

A new score is a file here, with its import and its place in SCORES. Then data/scores has its column, benchmark and report its rows, and
params.yaml may name it. Reading this module imports no torch.
"""

from penumbra.scores.base import Score
from penumbra.scores.confidence import Confidence
from penumbra.scores.energy import Energy
from penumbra.scores.knn import Knn
from penumbra.scores.max_logit import MaxLogit
from penumbra.scores.mcm import Mcm
from penumbra.scores.msp import Msp
from penumbra.scores.neglabel import NegLabel

SCORES: dict[str, type[Score]] = {score.name: score for score in (Msp, MaxLogit, Energy, Knn, Confidence, Mcm, NegLabel)}


def names(kind: str | None = None) -> tuple[str, ...]:
    """The scores of a kind of detector; None: of any."""
    return tuple(name for name, score in SCORES.items() if kind is None or kind in score.kinds)
