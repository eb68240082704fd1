"""log f of GOOD (section 3.1): how far out an image is to an ID classifier, differentiable back to the latent it is decoded from.

Image level: the energy E = -log sum_n exp f_n of the logits. Feature level: the distance D_k to the k-th nearest ID training
feature, all features of length 1. One pass of the classifier gives both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.elementary import log
from penumbra.logits import energy

Weight = float | Tensor  # one for all samples, or one for each: [B]


class Classifier(Protocol):
    """What is asked of the ID classifier, in one differentiable pass: logits [B, N] and features [B, D]."""

    def forward_with_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Of images [B, 3, H, W] in [0, 1]."""
        ...

    def forward_normalised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of x [B, 3, H, W] as it is, without the normalisation of its training."""
        ...


@dataclass(frozen=True)
class Probe:
    """The frozen ID classifier and what it knows of ID.

    Attributes:
        classifier: in eval mode.
        bank: features of the ID training images, rows of length 1 [M, D].
        k: which neighbour's distance, 1..M.
        size: pixels of the square that the classifier sees; images of another size are resized.
        value_range: unit (images in [0, 1], normalised as in training) | symmetric (in [-1, 1] as they are: GOOD's code).
        log: log D_k instead of D_k.
    """

    classifier: Classifier
    bank: Tensor
    k: int
    size: int
    value_range: str = "unit"
    log: bool = False


def kth_distance(features: Tensor, bank: Tensor, k: int) -> Tensor:
    """D_k [B] of GOOD eq. 6: distance of features [B, D], taken to length 1, to the k-th nearest row of bank [M, D] (rows of length 1).

    The gradient is that of the distance to this neighbour (eq. 7), the Jacobian of the normalisation included.
    """
    unit = F.normalize(features, dim=1)
    with torch.no_grad():
        nearest = (unit @ bank.T).topk(k, dim=1).indices[:, -1]
    return (unit - bank[nearest]).norm(dim=1)


def outputs(probe: Probe, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and features that the classifier gives to images [B, 3, H, W], about [0, 1] and not clamped."""
    if images.shape[-2:] != (probe.size, probe.size):
        images = F.interpolate(images, (probe.size, probe.size), mode="bilinear", align_corners=False)
    if probe.value_range == "symmetric":
        return probe.classifier.forward_normalised(2 * images - 1)
    return probe.classifier.forward_with_features(images)


def outlierness(probe: Probe, images: Tensor, energy_weight: Weight, knn_weight: Weight) -> Tensor:
    """log f [B] = energy_weight E + knn_weight D_k of images [B, 3, H, W]; with `probe.log`, log D_k.

    The paper writes f = exp(E) and the sum of exp f_n for it; the second is the reciprocal and would climb towards ID.
    """
    logits, features = outputs(probe, images)
    total = energy_weight * energy(logits)  # whatever the weight: where none guides, the gradient is 0 and not missing
    if torch.as_tensor(knn_weight).any():
        distance = kth_distance(features, probe.bank, probe.k)
        if probe.log:
            distance = log(distance.clamp(min=torch.finfo(distance.dtype).tiny))
        total = total + knn_weight * distance
    return total


def latent_log_f(
    probe: Probe, decode: Callable[[Tensor], Tensor], energy_weight: Weight, knn_weight: Weight, slice_size: int | None = None
) -> Callable[[Tensor], Tensor]:
    """log f of latents [B, ...]: `decode` makes images [B, 3, H, W] of them, and `outlierness` judges these.

    Args:
        slice_size: samples that pass decoder and classifier at a time, where memory does not hold B of them.
    """

    def part(latents: Tensor, rows: slice) -> Tensor:
        weights = (weight[rows] if isinstance(weight, Tensor) and weight.ndim else weight for weight in (energy_weight, knn_weight))
        return outlierness(probe, decode(latents), *weights)

    def log_f(latents: Tensor) -> Tensor:
        if slice_size is None or slice_size >= len(latents):
            return part(latents, slice(None))
        return _Sliced.apply(latents, part, slice_size)

    return log_f


class _Sliced(torch.autograd.Function):
    """A function of samples, evaluated and differentiated a slice at a time: the graph of one slice is in memory, and no pass is repeated.

    The gradient is taken with the value, which is right because the value of a sample depends on that sample alone.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, part: Callable[[Tensor, slice], Tensor], size: int) -> Tensor:
        values, gradients = [], []
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            with torch.enable_grad():
                leaf = x[rows].detach().requires_grad_(True)
                value = part(leaf, rows)
                gradients.append(torch.autograd.grad(value.sum(), leaf)[0])
            values.append(value.detach())
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(values)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream.reshape(-1, *[1] * (gradient.ndim - 1)), None, None
