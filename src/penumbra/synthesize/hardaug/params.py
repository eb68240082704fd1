"""Parameters of hard augmentations."""

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import AfterValidator

from penumbra.values import Count, Interval, Section, distinct

Transformation = Literal["rotate", "jigsaw", "erase", "warp"]


class HardAugmentation(Section):
    """What is not said here is in docs/fidelity.md.

    Attributes:
        per_image: candidates for each ID image.
        transformations: of which each candidate has `together` different ones, drawn at random, one after the other.
        tiles: jigsaw cuts an image into so many by so many tiles and puts them elsewhere.
        erased: smallest and largest share of the image that erase fills with noise.
        warped: largest shift of warp, as a share of the image's side.
    """

    reads: ClassVar[str] = "images"
    method: Literal["hardaug"]
    per_image: Count
    transformations: Annotated[list[Transformation], MinLen(1), AfterValidator(distinct)]
    together: Count
    tiles: Annotated[int, Ge(2), Le(16)]
    erased: Interval
    warped: Annotated[float, Ge(0), Le(1)]
