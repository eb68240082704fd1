"""Parameters of CutPaste."""

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from penumbra.values import Count, Interval, Section, ShareAboveZero


class CutPaste(Section):
    """Shares and ratios are those of Li et al. 2021, 3.2, where nothing else is said.

    Attributes:
        per_image: candidates for each ID image.
        area: smallest and largest share of the image that the patch covers (paper: 0.02 to 0.15).
        aspect: smallest ratio of the patch's short side to its long one (paper: 0.3).
        jitter: largest change of the patch's brightness and contrast, as a share (paper: 0.1).
    """

    reads: ClassVar[str] = "images"
    method: Literal["cutpaste"]
    per_image: Count
    area: Interval
    aspect: ShareAboveZero
    jitter: Annotated[float, Ge(0), Le(1)]
