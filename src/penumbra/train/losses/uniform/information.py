"""Mutual information between the features of ID images and of their outliers (SONA eq. 9): an upper bound, and the official surrogate."""

import torch
from torch import Tensor, nn

from penumbra.elementary import log


class Club(nn.Module):
    """q(y|x), a diagonal Gaussian, for the contrastive log-ratio upper bound of the mutual information (Cheng et al. 2020, CLUB).

    Args:
        x_width: width of the features that are given.
        y_width: width of the features that are predicted.
        hidden: width of the networks of mean and log variance, half of which are hidden units; 2 or more.
    """

    def __init__(self, x_width: int, y_width: int, hidden: int):
        super().__init__()
        self.mean = _network(x_width, hidden // 2, y_width)
        self.log_variance = _network(x_width, hidden // 2, y_width).append(nn.Tanh())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean [B, Dy] and log variance [B, Dy], in [-1, 1], of y given x [B, Dx]."""
        return self.mean(x), self.log_variance(x)


def _network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def log_likelihood(mean: Tensor, log_variance: Tensor, y: Tensor) -> Tensor:
    """Mean over the batch of 2 log q(y_i|x_i), constant left out; scalar of tensors [B, D]."""
    return (-((mean - y) ** 2) / log_variance.exp() - log_variance).sum(1).mean()


def club_bound(mean: Tensor, log_variance: Tensor, y: Tensor) -> Tensor:
    """Mean of log q(y_i|x_i) - mean_j log q(y_j|x_i), in nats; j runs over the whole batch (the full estimator of CLUB).

    It bounds the mutual information from above where q is the true conditional density, and may be negative elsewhere. Over
    j only the mean and the variance of y count, (mu - y_j)^2 averaging to (mu - ybar)^2 + var y: no tensor [B, B, D] is needed.

    Args:
        mean, log_variance: of q(y|x_i) [B, D].
        y: the partners of x [B, D].
    """
    others = (mean - y.mean(0)) ** 2 + y.var(0, correction=0)
    return ((others - (mean - y) ** 2) / (2 * log_variance.exp())).sum(1).mean()


def outer_product(x: Tensor, y: Tensor, floor: float = 1e-8) -> Tensor:
    """What the official code of SONA minimises in place of CLUB; scalar of non-negative features [B, Dx] and [B, Dy].

    sum J log(J / (P + floor) + floor) with J the batch mean of the outer products, each normalised to sum 1, and P the outer
    product of the batch means, which is not. So it is close to -log(sum x sum y): it rewards large features, whatever their
    dependence, and has no lower bound. For parity only. Features that are all 0 count as no information.
    """
    shares = [features / features.sum(1, keepdim=True).clamp_min(floor) for features in (x, y)]
    joint = shares[0].T @ shares[1] / len(x)
    product = torch.outer(x.mean(0), y.mean(0))
    return (joint * log(joint / (product + floor) + floor)).sum()
