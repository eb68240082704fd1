"""Parameters of the controls."""

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le, MinLen
from pydantic import AfterValidator

from penumbra.values import Section, distinct


class Control(Section):
    """What a pipeline's autoencoder keeps of ID images."""

    method: ClassVar[str] = "control"
    pipeline: Literal["diffusion", "inpainting"]
    posterior: Literal["mean", "sample"]
    jpeg: Annotated[int, Ge(1), Le(100)] | None
    splits: Annotated[list[Literal["train", "test"]], MinLen(1), AfterValidator(distinct)]
