"""Parameters of candidates that another decoder paints."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from penumbra.values import Count, Fault, Item, NotNegative, Section

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Decoded(Section):
    """What a decoder paints of the representations of another method's candidates.

    Attributes:
        of: a variant of synthesize.badood, with whose candidates these share their representations.
        decoder: its kind, below pretrain.
        steps: of DDIM.
        guidance_scale: s of eps_u + s (eps_c - eps_u).
    """

    method: ClassVar[str] = "decoded"
    of: Item
    decoder: Literal["ldm", "dit"]
    steps: Count
    guidance_scale: NotNegative


def faults(experiment: "Experiment") -> Iterator[Fault]:
    variants = experiment.synthesize.badood
    for name, method in experiment.synthesize.decoded.items():
        if method.of not in variants:
            yield f"synthesize.decoded.{name}.of", f"must be one of {', '.join(variants) or 'synthesize.badood, which is empty'}"
