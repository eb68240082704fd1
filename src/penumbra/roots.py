"""The square root of a tensor, with the same bytes on every CPU.

`Tensor.sqrt` and `Tensor ** 0.5` are MKL's. With MKL_CBWR=COMPATIBLE (see `kernels`) MKL starts from the RSQRT instruction, an
approximation that each vendor makes in its own way, and one result in ten differs in its last bit. `rsqrt` is torch's own: a root and
a quotient, both rounded as IEEE 754 says. Adam takes a root too, so optimisers are `fused`: that kernel is torch's own as well.
"""

from typing import overload

from torch import Tensor


@overload
def root(x: Tensor) -> Tensor: ...
@overload
def root(x: float) -> float: ...
def root(x: Tensor | float) -> Tensor | float:
    """Square root of a tensor or a number, none below zero; within one unit of the last place."""
    return x.rsqrt().reciprocal() if isinstance(x, Tensor) else x**0.5
