"""OOD scores, one file each; what a score is: `base.py`.

A new score is a file here. A score that derives from `Asked` is there when an entry of score.more asks for it; every other one every
detector of its kind has. Then data/scores has its column, benchmark and report its rows, and params.yaml may name it. Where an entry
lists values, they are swept: `sweep.py`. Reading this module imports no torch.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, get_args

from penumbra import scores
from penumbra.registry import load
from penumbra.registry import names as modules
from penumbra.scores.base import Asked, Score
from penumbra.scores.sweep import Swept, lists

if TYPE_CHECKING:
    from penumbra.artifacts.outputs import Kind

FIRST = ("msp", "max_logit", "energy", "knn", "confidence", "mcm", "neglabel")  # in tables; others follow by name


def _found() -> set[type[Score]]:
    values = [value for module in modules(scores) for value in vars(load(scores, module)).values()]
    return {value for value in values if isinstance(value, type) and issubclass(value, Score)}


def _of_all() -> dict[str, type[Score]]:
    found = [score for score in _found() if not issubclass(score, Asked) and score is not Score]
    return {score.name: score for score in sorted(found, key=lambda score: (_place(score.name), score.name))}


def _asked() -> dict[str, type[Asked]]:
    """Those of `Asked` that have parameters; without, a class is what several have in common."""
    found = [score for score in _found() if issubclass(score, Asked) and score.Parameters]
    words = {get_args(score.Parameters.model_fields["score"].annotation)[0]: score for score in found}
    return dict(sorted(words.items()))


def _place(name: str) -> int:
    return FIRST.index(name) if name in FIRST else len(FIRST)


SCORES: dict[str, type[Score]] = _of_all()
ASKED: dict[str, type[Asked]] = _asked()


def names(kind: "Kind | None" = None, more: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """The scores that every detector of a kind has; None: of any.

    Args:
        kind: network | clip.
        more: score.more, whose entries come last.
    """
    found = SCORES | {name: ASKED[entry.score] for name, entry in (more or {}).items()}
    return tuple(name for name, score in found.items() if kind is None or kind in score.kinds and not score.takes)


def scores_of(parameters: Any, kind: "Kind", kept: Collection[str] = ()) -> dict[str, Score]:
    """Every score that a detector has, not fitted.

    Args:
        parameters: the section `score`.
        kind: network | clip.
        kept: what its pass has kept beside what all have, `Outputs.kept`.
    """
    found = {name: ASKED[entry.score] for name, entry in parameters.more.items()}
    asked = [name for name, score in found.items() if kind in score.kinds and set(score.takes) <= set(kept)]
    return {name: SCORES[name](parameters) for name in names(kind)} | {name: _asked_for(parameters.more[name], name) for name in asked}


def _asked_for(entry: Any, name: str) -> Asked:
    score = ASKED[entry.score]
    return Swept(entry, name, score) if lists(entry, list(score.Parameters.model_fields)) else score(entry, name)
