"""Generalized ODIN: the decomposed confidence after its input step (Hsu et al. 2020); without the step: `scores/deconf.py`."""

from typing import TYPE_CHECKING, Literal

from penumbra.rerun.scores.base import Pictures, Rerun, Subject
from penumbra.values import Positive, Section

if TYPE_CHECKING:
    from torch import Tensor

MAGNITUDES = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)  # among which the paper chooses


class Godin(Rerun):
    """-S(x~) of S = max_i h_i or g, for detectors of loss godin; the paper's score is S: more ID.

    x~ = x + noise sign(grad_x S(x)); x in [0, 1], not clipped, as for ODIN. `noise: validation` is the paper's choice: that of MAGNITUDES
    with the greatest mean S(x~) of ID validation images, which needs no OOD; of equal ones the first.
    """

    loss = "godin"

    class Parameters(Section):
        score: Literal["godin"]
        by: Literal["h", "g"]
        noise: Positive | Literal["validation"]

    def learn(self, bank: Subject) -> None:
        from penumbra.models.heads import DecomposedConfidence

        like = self.network.last_layer.weight
        self.head = DecomposedConfidence.from_pretrained(bank.directory / self.loss).to(like.device, like.dtype)
        self.noise = self._chosen(bank.val) if self.parameters.noise == "validation" else self.parameters.noise

    def batch(self, images: "Tensor") -> "Tensor":
        return self._at(images, self.noise)

    def _chosen(self, val: Pictures) -> float:
        """The magnitude of the lowest mean score, higher being more OOD."""
        import torch

        means = [torch.cat([self._at(images, noise) for images in val]).mean().item() for noise in MAGNITUDES]
        return MAGNITUDES[means.index(min(means))]

    def _at(self, images: "Tensor", noise: float) -> "Tensor":
        """The score [B] of images [B, 3, H, W], which move by `noise` before."""
        import torch

        with torch.enable_grad():
            asked = images.detach().requires_grad_()
            images = images + noise * torch.autograd.grad(self._confidence(asked).sum(), asked)[0].sign()
        with torch.no_grad():
            return -self._confidence(images).double()

    def _confidence(self, images: "Tensor") -> "Tensor":
        """S [B]."""
        features = self.network.forward_with_features(images)[1]
        return self.head.g(features) if self.parameters.by == "g" else self.head.h(features).amax(1)
