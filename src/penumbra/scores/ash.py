"""ASH: activation shaping (Djurisic et al. 2023)."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.shaped import Shaped
from penumbra.values import Section, ShareBelowOne

if TYPE_CHECKING:
    from torch import Tensor

HIGHEST = 500.0  # exponent of a scale, so that logits stay finite


class Ash(Shaped):
    """Energy of features of which each image's smallest, a share `pruned`, are zero. Of the others, s being their sum, S that of all:

    p: they stay; b: each is S over their number; s: they are multiplied by exp(S / s).
    """

    class Parameters(Section):
        score: Literal["ash"]
        variant: Literal["p", "b", "s"]
        pruned: ShareBelowOne

    def shape(self, features: "Tensor") -> "Tensor":
        import torch

        found, where = features.topk(kept(features.shape[1], self.parameters.pruned), dim=1, sorted=False)
        if self.parameters.variant == "b":
            found = (features.sum(1, keepdim=True) / found.shape[1]).expand_as(found)
        elif self.parameters.variant == "s":
            found = found * scale(features, found)
        return torch.zeros_like(features).scatter(1, where, found)


def kept(width: int, pruned: float) -> int:
    """How many of D features are left, at least 1."""
    return max(width - round(width * pruned), 1)


def scale(features: "Tensor", largest: "Tensor") -> "Tensor":
    """exp(S / s) [B, 1] of features [B, D] with the sum S, whose largest [B, k] have the sum s; exp(1) where s is no more than 0."""
    import numpy as np
    import torch

    whole, part = features.sum(1, keepdim=True), largest.sum(1, keepdim=True)
    ratio = torch.where(part > 0, whole / part, 1.0).clamp_max(HIGHEST)
    return torch.from_numpy(np.exp(ratio.numpy()))  # torch's exponential differs between CPUs: docs/portability.md
