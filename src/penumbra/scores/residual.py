"""Norm of what principal directions leave of a feature (Wang et al. 2022)."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Asked, Bank
from penumbra.values import Section, ShareAboveZero

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs

BLOCK = 4096  # images whose features are copied at a time


class Residual(Asked):
    """||R^T (z - o)|| >= 0, R the directions beyond the principal ones; higher = more OOD, as in the paper.

    o = -W^+ b is where the last layer gives every class the same, principal directions are the eigenvectors of the largest eigenvalues
    of the second moment of z - o over ID training images. `share` of all directions are principal: the paper has 1000 of 2048.
    """

    class Parameters(Section):
        score: Literal["residual"]
        share: ShareAboveZero

    def fit(self, bank: Bank) -> None:
        """Find the directions.

        Raises:
            PenumbraError: features have one direction only.
        """
        import torch

        from penumbra.gaussians import second_moment

        width = bank.weight.shape[1]
        if width == 1:
            raise self.refused("needs features of two numbers or more. Leave the score out for this detector.")
        self.origin = -torch.linalg.pinv(bank.weight.double()) @ bank.bias.double()
        principal = min(max(round(self.parameters.share * width), 1), width - 1)
        directions = torch.linalg.eigh(second_moment(bank.train.features, self.origin)).eigenvectors
        self.beyond = directions[:, : width - principal]  # of the smallest eigenvalues

    def __call__(self, outputs: "Outputs") -> "Tensor":
        import torch

        return torch.cat([((block.double() - self.origin) @ self.beyond).norm(dim=1) for block in outputs.features.split(BLOCK)])
