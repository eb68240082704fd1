"""One training by several processes, each with a share of every batch. Alone, a process does all, by the same code.

Every process draws the same batches, and passes its share of the images through the network. Then each has the outputs of all, and
computes the loss of the whole batch. So a loss knows nothing of this, and may compare any two images of a batch.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from penumbra.errors import PenumbraError
from penumbra.processes import count, rank


class _Sum(torch.autograd.Function):
    """The sum over the processes; the gradient is the sum of theirs."""

    @staticmethod
    def forward(_: object, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient)


class _SharedNorm:
    """Forward pass of a batch norm whose statistics are of all shares of a batch."""

    def __init__(self, norm: _BatchNorm):
        self.norm, self.alone = norm, norm.forward

    def __call__(self, x: Tensor) -> Tensor:
        norm = self.norm
        if not norm.training:
            return self.alone(x)
        dims, sizes = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
        values = x.float()
        total = _Sum.apply(values.new_tensor([values.numel() / values.shape[1]]))
        mean = _Sum.apply(values.sum(dims)) / total
        centred = values - mean.view(sizes)
        variance = _Sum.apply(centred.square().sum(dims)) / total  # of what is centred: a difference of squares cancels
        if norm.track_running_stats:
            norm.num_batches_tracked += 1
            with torch.no_grad():
                norm.running_mean.lerp_(mean, norm.momentum)
                norm.running_var.lerp_(variance * total / (total - 1), norm.momentum)
        normal = centred * torch.rsqrt(variance + norm.eps).view(sizes)
        return (normal * norm.weight.view(sizes) + norm.bias.view(sizes)).to(x.dtype)


def join(network: nn.Module) -> None:
    """Train the network together with the other processes: batch norm takes its statistics from the whole batch.

    Raises:
        PenumbraError: the network has a batch norm that does something else, too.
    """
    if count() == 1:
        return
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    if other := {type(norm).__name__ for norm in norms} - {"BatchNorm1d", "BatchNorm2d"}:
        raise PenumbraError(f"processes: {min(other)} of this network cannot be shared. Set processes to 1 in the profile.")
    if not dist.is_initialized():
        dist.init_process_group("nccl" if next(network.parameters()).is_cuda else "gloo")
    for norm in norms:
        norm.forward = _SharedNorm(norm)


def share(images: Tensor) -> Tensor:
    """The images of this process, of a batch [B, ...]: as many as another has, or one more or less."""
    return images.tensor_split(count())[rank()]


def whole(rows: Tensor, total: int) -> Tensor:
    """The outputs of a batch [B, ...], of which this process has made the rows of its share; B is `total`.

    All processes compute the same loss of them, and the gradient of a share is the sum of the gradients of all: `average` divides.
    """
    if count() == 1:
        return rows
    before = sum(len(part) for part in torch.arange(total).tensor_split(count())[: rank()])
    return _Sum.apply(F.pad(rows, [0, 0] * (rows.ndim - 1) + [before, total - before - len(rows)]))


def average(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over the processes."""
    if count() == 1:
        return
    gradients = [each.grad for each in parameters if each.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    means = (flat / count()).split([gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))
