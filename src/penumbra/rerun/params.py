"""Parameters of rerun: scores by name, of which keys may list values as those of score.more, and the detectors that have them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import AfterValidator, Field

from penumbra.rerun.scores import RERUN
from penumbra.values import Fault, Item, Section, Text, distinct, swept

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment

Entry = Annotated[Union[tuple(swept(score.Parameters) for score in RERUN.values())], Field(discriminator="score")]  # noqa: UP007


class Rerun(Section):
    detectors: Annotated[list[Text], AfterValidator(distinct)]
    scores: dict[Item, Entry]


def faults(experiment: "Experiment") -> Iterator[Fault]:
    """Detectors that there are none of, or that are no networks, or without a score; scores that no detector of them has."""
    p, detectors = experiment.rerun, experiment.train.detectors
    networks = [name for name, each in detectors.items() if getattr(experiment.recipes.get(each.recipe), "detector", "") == "network"]
    if unknown := [name for name in p.detectors if name not in networks]:
        yield "rerun.detectors", f"must be networks of train.detectors ({', '.join(networks)}); there is no {', '.join(unknown)}"
    if p.detectors and not p.scores:
        yield "rerun.scores", "must have an entry, since rerun.detectors names detectors"
    losses = {experiment.recipes[detectors[name].recipe].loss for name in p.detectors if name in networks}
    for name, entry in p.scores.items():
        if (loss := RERUN[entry.score].loss) and loss not in losses:
            yield f"rerun.scores.{name}", f"must have a detector of loss {loss} in rerun.detectors"
