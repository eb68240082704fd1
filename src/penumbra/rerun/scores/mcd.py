"""Maximum classifier discrepancy (Yu and Aizawa 2019)."""

from typing import TYPE_CHECKING, Literal

from penumbra.rerun.scores.base import Rerun, Subject
from penumbra.values import Section

if TYPE_CHECKING:
    from torch import Tensor


class Mcd(Rerun):
    """sum_k |p_1k - p_2k| in [0, 2] of the softmax of both heads, for detectors of loss mcd; higher = more OOD, as in the paper."""

    loss = "mcd"

    class Parameters(Section):
        score: Literal["mcd"]

    def learn(self, bank: Subject) -> None:
        from penumbra.models.heads import SecondHead

        like = self.network.last_layer.weight
        self.head = SecondHead.from_pretrained(bank.directory / self.loss).to(like.device, like.dtype)

    def batch(self, images: "Tensor") -> "Tensor":
        import torch

        with torch.no_grad():
            logits, features = self.network.forward_with_features(images)
            first, second = (each.double().softmax(1) for each in (logits, self.head(features)))
            return (first - second).abs().sum(1)
