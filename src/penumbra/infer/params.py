"""Parameters of infer: what a pass keeps beside logits and features."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal, Union

from annotated_types import Ge, Le, MinLen
from pydantic import AfterValidator, Discriminator, Tag

from penumbra.values import ONE, SEVERAL, Fault, Natural, Section, Text, distinct

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment

Layers = Annotated[
    Union[  # noqa: UP007
        Annotated[Literal["all"], Tag(ONE)], Annotated[list[Natural], MinLen(1), AfterValidator(distinct), Tag(SEVERAL)]
    ],
    Discriminator(lambda value: SEVERAL if isinstance(value, list) else ONE),
]


class Infer(Section):
    """Networks whose pass keeps statistics of layers (`models/layers.py`): channel means, and row sums of Gram matrices.

    The section may be missing, as nobody needs them but scores that are asked for. Then it is in no dump, and provenance is that of an
    experiment without it.

    Attributes:
        detectors: names in train.detectors.
        layers: indices of the layers, from 0, or all.
        powers: of the Gram matrices; 0: channel means alone.
    """

    detectors: Annotated[list[Text], AfterValidator(distinct)]
    layers: Layers
    powers: Annotated[int, Ge(0), Le(10)]


def faults(experiment: "Experiment") -> Iterator[Fault]:
    """Detectors that there are none of, or that are no networks."""
    p, detectors = experiment.infer, experiment.train.detectors
    networks = [name for name, each in detectors.items() if getattr(experiment.recipes.get(each.recipe), "detector", "") == "network"]
    if p is not None and (unknown := [name for name in p.detectors if name not in networks]):
        yield "infer.detectors", f"must be networks of train.detectors ({', '.join(networks)}); there is no {', '.join(unknown)}"
