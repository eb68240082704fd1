"""OpenMax: extreme values of the distance to a class's mean logits (Bendale and Boult 2016)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from penumbra.scores.base import Asked, Bank
from penumbra.values import Count, Section

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from penumbra.artifacts.outputs import Outputs

SHIFT = 10_000.0  # LibMR's: tails begin there
LOWEST, STEEPEST = -20.0, 1e12  # logarithm of a shape; the shape of a tail whose distances are all equal
EUCLIDEAN = 1 / 200  # the official code's weight of the Euclidean distance beside the cosine's


@dataclass(frozen=True)
class Weibull:
    """F(d) = 1 - exp(-(x / scale)^shape) of x = 1 + (d - start) / SHIFT: as LibMR fits a tail that begins at `start`."""

    start: float
    log_scale: float
    shape: float

    def probability(self, distances: "np.ndarray") -> "np.ndarray":
        """F in [0, 1] [N] of distances [N]."""
        import numpy as np

        with np.errstate(divide="ignore"):
            x = np.log1p(np.maximum((distances - self.start) / SHIFT, -1))
        return -np.expm1(-np.exp(np.minimum(self.shape * (x - self.log_scale), 700)))


class OpenMax(Asked):
    """Log-odds of the unknown class, v_0 - log sum_c exp v_c of revised logits v (Alg. 2); the paper's score is its probability: more OOD.

    The distance of an image's logits to the mean logits of a class, over the ID training images that are rightly called so, has the
    tail F of the `tail` farthest of these. Of the `alpha` largest logits, the i-th loses its share (alpha + 1 - i) / alpha F to v_0.
    A class without such an image has F = 1. Distance: euclidean, or eucos, which is a 200th of it and the cosine distance. `images`:
    right, or all of a class.
    """

    kinds = ("network",)

    class Parameters(Section):
        score: Literal["openmax"]
        tail: Count
        alpha: Count
        distance: Literal["eucos", "euclidean"]
        images: Literal["right", "all"]

    def fit(self, bank: Bank) -> None:
        """Fit the tails."""
        from penumbra.gaussians import class_means

        logits = bank.train.logits
        labels = bank.labels
        if self.parameters.images == "right":
            right = logits.argmax(1) == labels
            logits, labels = logits[right], labels[right]
        means, counts = class_means(logits, labels, logits.shape[1])
        self.means = means
        self.tails: list[Weibull | None] = [None] * len(means)
        for label in counts.nonzero()[:, 0].tolist():
            own = self._distances(logits[labels == label], means[label : label + 1])[:, 0]
            self.tails[label] = fitted(own.sort().values[-self.parameters.tail :].numpy())

    def __call__(self, outputs: "Outputs") -> "Tensor":
        import torch

        from penumbra.elementary import logsumexp

        logits = outputs.logits
        distances = self._distances(logits, self.means).numpy()
        found = [
            torch.ones(len(logits)) if tail is None else torch.from_numpy(tail.probability(distances[:, label]))
            for label, tail in enumerate(self.tails)
        ]
        alpha = min(self.parameters.alpha, logits.shape[1])
        shares = torch.zeros_like(logits)
        ranked = torch.arange(alpha, 0, -1, dtype=logits.dtype) / alpha
        shares.scatter_(1, logits.topk(alpha, dim=1).indices, ranked.expand(len(logits), -1))
        lost = logits * shares * torch.stack(found, 1)
        return lost.sum(1) - logsumexp(logits - lost, 1)

    def _distances(self, logits: "Tensor", means: "Tensor") -> "Tensor":
        """Of logits [N, C] to mean logits [K, C]: [N, K]."""
        import torch
        import torch.nn.functional as F

        euclidean = torch.cdist(logits, means, compute_mode="donot_use_mm_for_euclid_dist")
        if self.parameters.distance == "euclidean":
            return euclidean
        return EUCLIDEAN * euclidean + 1 - F.normalize(logits, dim=1) @ F.normalize(means, dim=1).T


def fitted(tail: "np.ndarray") -> Weibull:
    """The Weibull distribution of greatest likelihood, of distances in ascending order."""
    import numpy as np
    from scipy.optimize import brentq

    start = float(tail[0])
    x = np.log1p((tail - start) / SHIFT)
    x_last = float(x[-1])

    def slope(log_shape: float) -> float:
        """The likelihood's slope in the shape, the scale being the best for it; never rises."""
        weights = np.exp(np.exp(log_shape) * (x - x_last))
        return float(np.exp(-log_shape) + x.mean() - x @ weights / weights.sum())

    highest = float(np.log(STEEPEST))
    shape = STEEPEST if slope(highest) >= 0 else float(np.exp(brentq(slope, LOWEST, highest, xtol=1e-13, rtol=1e-13)))
    return Weibull(start, x_last + float(np.log(np.exp(shape * (x - x_last)).mean())) / shape, shape)
