"""OOD scores, one file each; what a score is: `base.py`.

A new score is a file here. Then data/scores has its column, benchmark and report its rows, and params.yaml may name it. Reading this
module imports no torch.
"""

from penumbra import scores
from penumbra.registry import load
from penumbra.registry import names as modules
from penumbra.scores.base import Score

FIRST = ("msp", "max_logit", "energy", "knn", "confidence", "mcm", "neglabel")  # in tables; others follow by name


def _found() -> list[type[Score]]:
    values = [value for module in modules(scores) for value in vars(load(scores, module)).values()]
    found = {value for value in values if isinstance(value, type) and issubclass(value, Score) and value is not Score}
    return sorted(found, key=lambda score: (FIRST.index(score.name) if score.name in FIRST else len(FIRST), score.name))


SCORES: dict[str, type[Score]] = {score.name: score for score in _found()}


def names(kind: str | None = None) -> tuple[str, ...]:
    """The scores of a kind of detector; None: of any."""
    return tuple(name for name, score in SCORES.items() if kind is None or kind in score.kinds)
