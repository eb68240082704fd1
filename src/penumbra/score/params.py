"""Parameters of score: the keys of each score that has any, in its own file of `scores`; and `more`, scores by name.

An entry of `more` may list values of a key: they are swept (`scores/sweep.py`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, TypeVar, Union

from annotated_types import MinLen
from pydantic import AfterValidator, Discriminator, Field, Tag, create_model

from penumbra.scores import ASKED, SCORES
from penumbra.values import Fault, Item, Section, distinct

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment

KEYS = ("seed", "set", "group", "strength", "label", "predicted")  # columns of data/scores
TAKEN = (*SCORES, *KEYS, "image", "score", "ood")  # and of predict's answers

T = TypeVar("T")
ONE, SEVERAL = "one value", "a list of values"
OneOrSeveral = Annotated[
    Union[Annotated[T, Tag(ONE)], Annotated[list[T], MinLen(1), AfterValidator(distinct), Tag(SEVERAL)]],  # noqa: UP007
    Discriminator(lambda value: SEVERAL if isinstance(value, list) else ONE),
]


def swept(parameters: type[Section]) -> type[Section]:
    """The type of entries that may list values: each key but `score` takes one, or a list without repetitions."""
    fields = {
        key: (field.rebuild_annotation() if key == "score" else OneOrSeveral[field.rebuild_annotation()], ...)
        for key, field in parameters.model_fields.items()
    }
    return create_model(parameters.__name__, __base__=Section, __module__=__name__, **fields)


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
