"""Parameters of real outliers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from penumbra.values import Fault, Names, Section

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Real(Section):
    """Images of `prepare.world`, which shares no class with ID, calibration or test sets.

    Attributes:
        sets: keys of prepare.world whose images are taken; null: all of them.
    """

    reads: ClassVar[str] = "images"
    method: Literal["real"]
    sets: Names | None


def faults(experiment: "Experiment") -> Iterator[Fault]:
    world = experiment.prepare.world
    for name, method in experiment.synthesize.images.items():
        if isinstance(method, Real) and not set(method.sets or ()) <= set(world):
            yield f"synthesize.images.{name}.sets", f"must name sets of prepare.world: {', '.join(world) or 'it has none'}"
