"""Roots and logarithms of tensors, with the same bytes on every CPU.

torch hands these to MKL. With MKL_CBWR=COMPATIBLE (see `kernels`) MKL starts from the RSQRT and RCP instructions, approximations that
each vendor makes in its own way: one root in ten differs in its last bit, and one logarithm of float64 in a hundred thousand. Its
exponential of float64 differs between vendors, too. The functions here are torch's own. Adam takes a root, so optimisers are `fused`:
that kernel is torch's own as well.
"""

from typing import overload

import torch
from torch import Tensor


@overload
def root(x: Tensor) -> Tensor: ...
@overload
def root(x: float) -> float: ...
def root(x: Tensor | float) -> Tensor | float:
    """Square root of a tensor or a number, none below zero; within one unit of the last place."""
    return x.rsqrt().reciprocal() if isinstance(x, Tensor) else x**0.5


def log(x: Tensor) -> Tensor:
    """Natural logarithm of a tensor; within one unit of the last place. Of float32 it is MKL's, which is the same on every CPU."""
    return torch.xlogy(1, x) if x.dtype == torch.float64 else x.log()


def logsumexp(x: Tensor, dim: int) -> Tensor:
    """log of the sum of exp(x) over one dimension, which is dropped; x finite, some 1e-16 of the largest |x| off at most.

    Of float64 it is the largest x minus its log softmax, which is torch's own; where the two largest differ by rounding alone, its gradient
    may be off.
    """
    if x.dtype != torch.float64:
        return torch.logsumexp(x, dim)
    return x.amax(dim) - x.log_softmax(dim).amax(dim)
