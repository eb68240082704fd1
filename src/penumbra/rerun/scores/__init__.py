"""Scores that run the network again, one file each; what they are: `base.py`. A new one is a file here. No torch is imported."""

from penumbra.registry import load, names
from penumbra.rerun import scores
from penumbra.rerun.scores.base import Rerun


def _found() -> dict[str, type[Rerun]]:
    values = [value for module in names(scores) for value in vars(load(scores, module)).values()]
    found = {value for value in values if isinstance(value, type) and issubclass(value, Rerun) and value.Parameters}
    words = {score.Parameters.model_fields["score"].annotation.__args__[0]: score for score in found}
    return dict(sorted(words.items()))


RERUN: dict[str, type[Rerun]] = _found()
