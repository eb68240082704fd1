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
OF_LAYERS = {"means", "gram"}  # of `Outputs.beside`: what `infer` keeps of the detectors that it names
TAKEN = (*SCORES, *KEYS, "image", "score", "ood")  # and of predict's answers

Entry = Annotated[Union[tuple(swept(score.Parameters) for score in ASKED.values())], Field(discriminator="score")]  # noqa: UP007
Score = create_model(
    "Score",
    __base__=tuple(score.Parameters for score in SCORES.values() if score.Parameters),
    __module__=__name__,
    more=(dict[Item, Entry], ...),
)


def faults(experiment: "Experiment") -> Iterator[Fault]:
    """Scores that are named like something else; that no detector has, by its loss or by what its pass keeps."""
    recipes, infer = experiment.recipes, experiment.infer
    losses = {recipes[each.recipe].loss for each in experiment.train.detectors.values() if each.recipe in recipes}
    for name, entry in experiment.score.more.items():
        key, score = f"score.more.{name}", ASKED[entry.score]
        if name in TAKEN:
            yield key, "must have a name of its own: a column is named so already"
        if score.loss and score.loss not in losses:
            yield key, f"must have a detector of loss {score.loss} in train.detectors"
        if set(score.takes) & OF_LAYERS:
            most = max(powers) if isinstance(powers := getattr(entry, "powers", 0), list) else powers
            if infer is None or not infer.detectors:
                wanted = f"{{detectors: [NAME], layers: all, powers: {most}}}"
                yield "infer", f"must be {wanted}, or other layers: {key} takes their statistics, and no pass keeps any"
            elif infer.powers < most:
                yield "infer.powers", f"must be at least {most} ({key}.powers)"
