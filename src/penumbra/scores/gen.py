"""Generalised entropy of the softmax (Liu, Lochman and Zach 2023)."""

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt, Le

from penumbra.scores.base import Asked
from penumbra.values import Count, Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class Gen(Asked):
    """sum p^gamma (1 - p)^gamma >= 0 over the `classes` largest probabilities p (null: all); the paper's score is its negative."""

    class Parameters(Section):
        score: Literal["gen"]
        gamma: Annotated[float, Gt(0), Le(100)]
        classes: Count | None

    def __call__(self, outputs: "Outputs") -> "Tensor":
        import numpy as np
        import torch

        from penumbra.elementary import logsumexp

        ranked = outputs.logits.sort(dim=1, descending=True).values
        total = logsumexp(ranked, 1)
        of_first = (logsumexp(ranked[:, 1:], 1) - total).numpy()  # log(1 - p), where p rounds to 1
        log_p = (ranked - total[:, None])[:, : self.parameters.classes].numpy()
        rest = np.log1p(-np.exp(log_p[:, 1:]))  # all but the largest are at most 1/2
        powers = np.exp(self.parameters.gamma * (log_p + np.column_stack([of_first, rest])))
        return torch.from_numpy(powers.sum(1))
