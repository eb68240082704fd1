"""Gram matrices (Sastry and Oore 2020)."""

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le

from penumbra.scores.base import Asked, Bank
from penumbra.values import Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs

SMALLEST = 1e-6  # beside a bound in a quotient, as in the official code
BLOCK = 4096  # images whose deviations are found at a time


class Gram(Asked):
    """sum_l delta_l / E[delta_l] >= 0: how far the Gram matrices of an image's maps are out of the bounds of its predicted class.

    G_l^p = (F_l^p F_l^pT)^(1/p) of the map F_l [C_l, hw] of layer l, p = 1..`powers`; of it the row sums, as the official code takes. The
    bounds are the least and the greatest over the ID training images that are predicted (the paper), or labelled, as the class; delta_l
    is the sum over p and rows of what a value lacks or exceeds, as a share of the bound; E its mean over ID validation images. A class
    without images has the bounds of all.
    """

    kinds = ("network",)
    takes = ("gram",)

    class Parameters(Section):
        score: Literal["gram"]
        powers: Annotated[int, Ge(1), Le(10)]
        by: Literal["predicted", "label"]

    def fit(self, bank: Bank) -> None:
        """Find the bounds, and the mean deviations."""
        import torch

        classes = bank.train.logits.argmax(1) if self.parameters.by == "predicted" else bank.labels
        number = bank.train.logits.shape[1]
        seen = classes.bincount(minlength=number) > 0
        self.bounds = {}
        for layer, rows in self._rows(bank.train).items():
            where = classes[:, None].expand_as(rows)
            low = rows.new_full((number, rows.shape[1]), torch.inf).scatter_reduce_(0, where, rows, "amin")
            high = rows.new_full((number, rows.shape[1]), -torch.inf).scatter_reduce_(0, where, rows, "amax")
            low[~seen], high[~seen] = low[seen].amin(0), high[seen].amax(0)
            self.bounds[layer] = low, high
        found = self._deviations(bank.val).mean(0)
        self.expected = torch.where(found > 0, found, 1.0)

    def __call__(self, outputs: "Outputs") -> "Tensor":
        return (self._deviations(outputs) / self.expected).sum(1)

    def _deviations(self, outputs: "Outputs") -> "Tensor":
        """delta [N, L] of each layer."""
        import torch

        classes, of_layers = outputs.logits.argmax(1), []
        for layer, rows in self._rows(outputs).items():
            low, high = self.bounds[layer]
            pairs = zip(rows.split(BLOCK), classes.split(BLOCK), strict=True)
            of_layers.append(torch.cat([_deviation(block, low[of_block], high[of_block]) for block, of_block in pairs]))
        return torch.stack(of_layers, 1)

    def _rows(self, outputs: "Outputs") -> "dict[int, Tensor]":
        """Of each layer the row sums [N, `powers` C_l], a power after the other."""
        return {layer: sums[:, : self.parameters.powers].flatten(1) for layer, sums in outputs.of_layers("gram").items()}


def _deviation(rows: "Tensor", low: "Tensor", high: "Tensor") -> "Tensor":
    """[B] of values and their bounds [B, R]."""
    lacks, exceeds = (low - rows).relu() / (low + SMALLEST).abs(), (rows - high).relu() / (high + SMALLEST).abs()
    return lacks.sum(1) + exceeds.sum(1)
