"""Parameters of score: the keys of each score that has any, in its own file of `scores`; and `more`, scores by name.

An entry of `more` may list values of a key: they are swept (`scores/sweep.py`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field, create_model

from penumbra.scores import ASKED, SCORES
from penumbra.values import Fault, Item, swept

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment

KEYS = ("seed", "set", "group", "strength", "label", "predicted")  # columns of data/scores
TAKEN = (*SCORES, *KEYS, "image", "score", "ood")  # and of predict's answers

Entry = Annotated[Union[tuple(swept(score.Parameters) for score in ASKED.values())], Field(discriminator="score")]  # noqa: UP007
Score = create_model(
    "Score",
    __base__=tuple(score.Parameters for score in SCORES.values() if score.Parameters),
    __module__=__name__,
    more=(dict[Item, Entry], ...),
)


def faults(experiment: "Experiment") -> Iterator[Fault]:
    """Scores that are named like something else."""
    for name in experiment.score.more:
        if name in TAKEN:
            yield f"score.more.{name}", "must have a name of its own: a column is named so already"
