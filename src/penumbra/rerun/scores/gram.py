"""Gram matrices (Sastry and Oore 2020)."""

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Le

from penumbra.rerun.scores.base import Rerun, Subject, maps
from penumbra.values import Section

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 1e-6  # beside a bound in a quotient, as in the official code


class Gram(Rerun):
    """sum_l delta_l / E[delta_l] >= 0: how far the Gram matrices of an image's maps are out of the bounds of its predicted class.

    G_l^p = (F_l^p F_l^pT)^(1/p) of the map F_l [C_l, hw] of block l, p = 1..`powers`; of it the row sums, as the official code takes. The
    bounds are the least and the greatest over the ID training images that are predicted (the paper), or labelled, as the class; delta_l
    is the sum over p and rows of what a value lacks or exceeds, as a share of the bound; E its mean over ID validation images. A class
    without images has the bounds of all.
    """

    class Parameters(Section):
        score: Literal["gram"]
        powers: Annotated[int, Ge(1), Le(10)]
        by: Literal["predicted", "label"]

    def learn(self, bank: Subject) -> None:
        """Find the bounds, and the mean deviations."""
        import torch

        start, self.low, self.high, seen = 0, [], [], None
        for images in bank.train:
            logits, rows = self._rows(images)
            classes = logits.argmax(1) if self.parameters.by == "predicted" else bank.labels[start : start + len(images)].to(logits.device)
            start += len(images)
            if seen is None:
                seen = torch.zeros(logits.shape[1], dtype=torch.bool, device=logits.device)
                self.low = [row.new_full((len(seen), row.shape[1]), torch.inf) for row in rows]
                self.high = [-low for low in self.low]
            seen[classes] = True
            for row, low, high in zip(rows, self.low, self.high, strict=True):
                where = classes[:, None].expand_as(row)
                low.scatter_reduce_(0, where, row, "amin")
                high.scatter_reduce_(0, where, row, "amax")
        for low, high in zip(self.low, self.high, strict=True):
            low[~seen], high[~seen] = low[seen].amin(0), high[seen].amax(0)
        found = torch.cat([self._deviations(images) for images in bank.val]).mean(0)
        self.expected = torch.where(found > 0, found, 1.0)

    def batch(self, images: "Tensor") -> "Tensor":
        return (self._deviations(images) / self.expected).sum(1)

    def _deviations(self, images: "Tensor") -> "Tensor":
        """delta [B, L] of each block."""
        import torch

        logits, rows = self._rows(images)
        classes, found = logits.argmax(1), []
        for row, of_low, of_high in zip(rows, self.low, self.high, strict=True):
            low, high = of_low[classes], of_high[classes]
            lacks, exceeds = (low - row).relu() / (low + SMALLEST).abs(), (row - high).relu() / (high + SMALLEST).abs()
            found.append(lacks.sum(1) + exceeds.sum(1))
        return torch.stack(found, 1)

    def _rows(self, images: "Tensor") -> "tuple[Tensor, list[Tensor]]":
        """Logits, and of each block the row sums of its Gram matrices [B, `powers` C_l], float64."""
        logits, found = maps(self.network, images)
        return logits, [self._sums(of_block.double().flatten(2)) for of_block in found]

    def _sums(self, matrices: "Tensor") -> "Tensor":
        import torch

        sums = []
        for power in range(1, self.parameters.powers + 1):
            raised = matrices**power
            row = (raised * raised.sum(1, keepdim=True)).sum(2)  # of raised @ raised^T, which is not made
            sums.append(row.sign() * row.abs() ** (1 / power))
        return torch.cat(sums, 1)
