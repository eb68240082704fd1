"""Parameters of Bad-OOD's candidates that are moved."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Union

from annotated_types import Ge, Le
from pydantic import Discriminator, Tag

from penumbra.synthesize.badood.params import BadOod
from penumbra.values import MOVED, STILL


class Moved(BadOod):
    """A variant of Bad-OOD whose candidates are moved along the first principal direction of their class.

    Attributes:
        toward: length of the step, as a share of the representation's own; positive toward ID, negative away from it (paper: 0.01, 0.1).
    """

    method: ClassVar[str] = "moved"
    toward: Annotated[float, Ge(-1), Le(1)]


def _which(value: Any) -> str:
    moved = "toward" in value if isinstance(value, Mapping) else isinstance(value, Moved)
    return MOVED if moved else STILL


Variant = Annotated[Union[Annotated[BadOod, Tag(STILL)], Annotated[Moved, Tag(MOVED)]], Discriminator(_which)]  # noqa: UP007
