"""The decomposed confidence of Generalized ODIN (Hsu et al. 2020), of images as they are."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Asked
from penumbra.values import Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class Deconf(Asked):
    """-S(x) of S = max_i h_i or g, for detectors of loss godin; the paper's score is S: more ID. With its input step: `rerun`'s godin."""

    kinds = ("network",)
    takes = ("h", "g")
    loss = "godin"

    class Parameters(Section):
        score: Literal["deconf"]
        by: Literal["h", "g"]

    def __call__(self, outputs: "Outputs") -> "Tensor":
        confidence = outputs.beside[self.parameters.by].double()
        return -(confidence if self.parameters.by == "g" else confidence.amax(1))
