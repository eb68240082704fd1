"""Randomness that belongs to a sample: a function of (seed, step, sample id), drawn on the CPU.

Shards, order, restarts and the number of devices therefore do not change a bit of what is drawn.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from penumbra.elementary import log
from penumbra.seeds import derive


def generator(*parts: object) -> torch.Generator:
    """A CPU generator seeded by `derive(*parts)`."""
    return torch.Generator().manual_seed(derive(*parts))


class SampleNoise:
    """One independent random stream per sample of a batch.

    Successive calls continue each stream, so the draws of a sample do not depend on who shares its batch.

    Args:
        seed: the experiment's seed.
        step: the name of what draws ("synthesize/badood"); separates the streams of different steps.
        sample_ids: the B sample ids of the batch.
    """

    def __init__(self, seed: int, step: str, sample_ids: Sequence[str]):
        self._generators = [generator(seed, step, sample_id) for sample_id in sample_ids]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal [B, *shape], float32, on the CPU."""
        return torch.stack([torch.randn(shape, generator=g) for g in self._generators])

    def uniform(self, *shape: int) -> Tensor:
        """Uniform on [0, 1) [B, *shape], float32, on the CPU."""
        return torch.stack([torch.rand(shape, generator=g) for g in self._generators])

    def gumbel(self, *shape: int) -> Tensor:
        """Standard Gumbel [B, *shape], float32, finite."""
        u = self.uniform(*shape).clamp_(min=torch.finfo(torch.float32).tiny)
        return -log((-log(u)).clamp_(min=torch.finfo(torch.float32).tiny))
