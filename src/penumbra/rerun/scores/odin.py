"""ODIN (Liang, Li and Srikant 2018)."""

from typing import TYPE_CHECKING, Literal

from penumbra.rerun.scores.base import Rerun
from penumbra.values import NotNegative, Positive, Section

if TYPE_CHECKING:
    from torch import Tensor


class Odin(Rerun):
    """-log max_i S_i(x~; T) >= 0 of S the softmax of f / T (eq. 1); the paper's score is the maximum: more ID.

    x~ = x - noise sign(-grad_x log S_c(x; T)), c the predicted class (eq. 2); x in [0, 1], not clipped, as in the official code.
    """

    class Parameters(Section):
        score: Literal["odin"]
        temperature: Positive
        noise: NotNegative

    def batch(self, images: "Tensor") -> "Tensor":
        import torch

        from penumbra.logits import msp

        if self.parameters.noise > 0:
            images = images - self.parameters.noise * self._gradient(images).sign()
        with torch.no_grad():
            return msp(self.network(images).double() / self.parameters.temperature)

    def _gradient(self, images: "Tensor") -> "Tensor":
        """Of -log S_c by the images [B, 3, H, W]."""
        import torch

        with torch.enable_grad():
            asked = images.detach().requires_grad_()
            logits = self.network(asked) / self.parameters.temperature
            return torch.autograd.grad(torch.nn.functional.cross_entropy(logits, logits.argmax(1), reduction="sum"), asked)[0]
