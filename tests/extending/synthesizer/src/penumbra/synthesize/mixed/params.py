"""Parameters of mixed images."""

from typing import ClassVar, Literal

from penumbra.values import Section, ShareAboveZero


class Mixed(Section):
    """`share` is the second image's."""

    reads: ClassVar[str] = "images"
    method: Literal["mixed"]
    share: ShareAboveZero
