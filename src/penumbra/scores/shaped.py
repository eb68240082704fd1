"""What scores that shape features before the last layer have in common."""

from typing import TYPE_CHECKING

from penumbra.scores.base import Asked, Bank

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs

BLOCK = 4096  # images whose features are copied at a time


class Shaped(Asked):
    """Energy -log sum_n exp f_n of the logits f that the last layer makes of shaped features; higher = more OOD.

    Features are those that the last layer sees, pooled, as a ReLU leaves them: not negative.
    """

    kinds = ("network",)

    def fit(self, bank: Bank) -> None:
        """Keep the last layer."""
        self.weight, self.bias = bank.weight.double(), bank.bias.double()

    def shape(self, features: "Tensor") -> "Tensor":
        """The features [B, D], shaped; those given stay as they are."""
        raise NotImplementedError

    def __call__(self, outputs: "Outputs") -> "Tensor":
        import torch

        from penumbra.logits import energy

        return torch.cat([energy(self.shape(block) @ self.weight.T + self.bias) for block in outputs.features.split(BLOCK)])
