"""SCALE: features multiplied by how evenly they are active (Xu et al. 2024)."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.ash import kept, scale
from penumbra.scores.shaped import Shaped
from penumbra.values import Section, ShareBelowOne

if TYPE_CHECKING:
    from torch import Tensor


class Scale(Shaped):
    """Energy of features times exp(S / s): S the sum of an image's features, s that of the largest, all but the share `pruned`."""

    class Parameters(Section):
        score: Literal["scale"]
        pruned: ShareBelowOne

    def shape(self, features: "Tensor") -> "Tensor":
        largest = features.topk(kept(features.shape[1], self.parameters.pruned), dim=1, sorted=False).values
        return features * scale(features, largest)
