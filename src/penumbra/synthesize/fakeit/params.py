"""Parameters of Fake-it."""

from typing import ClassVar, Literal

from penumbra.values import Count, Optimised, Template


class FakeIt(Optimised):
    """A fresh UNet learns ID images for `epochs`, few enough that its samples are nearly ID and no more.

    Attributes:
        per_class: candidates of each ID class.
        steps: of the deterministic DDIM sampler.
    """

    reads: ClassVar[str] = "diffusion"
    method: Literal["fakeit"]
    prompt: Template
    per_class: Count
    steps: Count
