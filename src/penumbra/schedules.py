"""Noise schedules of diffusion models, and the levels of a schedule that a sampler visits.

Index t = 0 of a schedule already means one step of noise. `abar` is the cumulative product of 1 - beta.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor


def linear_betas(timesteps: int, beta_start: float, beta_end: float) -> Tensor:
    """The "linear" schedule of latent diffusion: beta [T], float64, whose square root is linear in t."""
    return torch.linspace(beta_start**0.5, beta_end**0.5, timesteps, dtype=torch.float64) ** 2


def cumulative_alphas(betas: Tensor) -> Tensor:
    """abar [T] of betas [T]; take float64 betas for a schedule exact to float32."""
    return torch.cumprod(1 - betas, dim=0)


@dataclass(frozen=True)
class Levels:
    """The noise levels that a sampler visits, from noise to clean, in this order.

    Attributes:
        timesteps: of the L levels: indices of the schedule.
        following: the timestep that the step from each level leads to; below 0 it leads to the result.
        schedule: abar at all T timesteps of training, in (0, 1).
        final: abar of the result.
    """

    timesteps: tuple[int, ...]
    following: tuple[int, ...]
    schedule: tuple[float, ...]
    final: float

    @classmethod
    def ddim(cls, timesteps: Sequence[int], stride: int, abar: Tensor, final: float) -> Self:
        """The levels of DDIM: each step is one stride long.

        Args:
            timesteps: of the levels, descending.
            abar: [T], the schedule.
            final: abar of the result.
        """
        return cls(tuple(timesteps), tuple(t - stride for t in timesteps), tuple(abar.double().tolist()), final)

    def plms(self) -> Self:
        """These levels as PLMS visits them: the second one twice, since its first step takes two evaluations (Liu et al. 2022)."""
        return replace(self, timesteps=_second_twice(self.timesteps), following=_second_twice(self.following))

    def since(self, place: int) -> Self:
        """The levels from the one at `place` on; 0 is the noisiest."""
        return replace(self, timesteps=self.timesteps[place:], following=self.following[place:])

    def __len__(self) -> int:
        return len(self.timesteps)

    @property
    def abar(self) -> tuple[float, ...]:
        """At each level."""
        return tuple(self.schedule[t] for t in self.timesteps)

    @property
    def abar_prev(self) -> tuple[float, ...]:
        """At what the step from each level leads to."""
        return tuple(self.schedule[t] if t >= 0 else self.final for t in self.following)

    def at(self, t: Tensor) -> Tensor:
        """abar, float32 [B, 1, 1, 1], at timesteps [B]; below 0 that of the result."""
        abar = torch.tensor(self.schedule, dtype=torch.float32)
        return torch.where(t >= 0, abar[t.clamp(min=0)], self.final).view(-1, 1, 1, 1)


def _second_twice(timesteps: tuple[int, ...]) -> tuple[int, ...]:
    return timesteps[:2] + timesteps[1:]
