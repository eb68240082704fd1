"""KL matching (Hendrycks et al. 2022)."""

from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Asked, Bank
from penumbra.values import Section

if TYPE_CHECKING:
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs


class KlMatching(Asked):
    """min_k KL(p || d_k), as in the paper: p the softmax, d_k the mean softmax of the ID validation images of class k.

    Class: the predicted one (the paper, whose method needs no labels), or the true one. A class without images has no d_k.
    """

    class Parameters(Section):
        score: Literal["kl-matching"]
        by: Literal["predicted", "label"]

    def fit(self, bank: Bank) -> None:
        """Average the softmax by class."""
        import numpy as np
        import torch

        from penumbra.gaussians import class_means

        classes = bank.val.logits.argmax(1) if self.parameters.by == "predicted" else bank.val_labels
        means, counts = class_means(bank.val.logits.softmax(1), classes, bank.val.logits.shape[1])
        found = means[counts > 0].numpy()
        self.log_means = torch.from_numpy(np.log(np.maximum(found, np.finfo(found.dtype).tiny)))

    def __call__(self, outputs: "Outputs") -> "Tensor":
        log_p, p = outputs.logits.log_softmax(1), outputs.logits.softmax(1)
        return (p * log_p).sum(1) - (p @ self.log_means.T).max(1).values
