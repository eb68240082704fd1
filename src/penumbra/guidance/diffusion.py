"""Diffusion in the closed form that guidance needs: forward noise, DDIM (Song et al. 2022; Bad-OOD app. B), prompts."""

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.elementary import root
from penumbra.schedules import Levels


class Noise(Protocol):
    """Per-sample randomness, as `penumbra.noise.SampleNoise` gives it."""

    def normal(self, *shape: int) -> Tensor: ...


def q_sample(z0: Tensor, abar: Tensor | float, noise: Tensor) -> Tensor:
    """Sample of q(z_t | z_0) = N(sqrt(abar) z_0, (1 - abar) I); `abar` is a number or broadcasts against z0."""
    abar = torch.as_tensor(abar, dtype=z0.dtype, device=z0.device)
    return root(abar) * z0 + root(1 - abar) * noise


def noise_error(eps: Callable[[Tensor], Tensor], z0: Tensor, abar: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of the noise that is predicted in z_t (Ho et al. 2020, eq. 14).

    Args:
        eps: eps(z_t) -> predicted noise like z_t.
        z0: clean [B, C, h, w].
        abar: at each z_t [B].
        noise: standard normal like z0.
    """
    return F.mse_loss(eps(q_sample(z0, abar.view(-1, 1, 1, 1), noise)), noise)


def predicted_clean(z_t: Tensor, eps: Tensor, abar: float | Tensor) -> Tensor:
    """The z0 that, with the noise eps, makes up z_t; `abar` is a number or broadcasts against z_t."""
    return (z_t - root(1 - abar) * eps) / root(abar)


def predicted_noise(z_t: Tensor, z0: Tensor, abar: float) -> Tensor:
    """The eps that, with the predicted clean z0, makes up z_t."""
    return (z_t - root(abar) * z0) / root(1 - abar)


def reverse_variance(abar: float, abar_prev: float) -> float:
    """Variance of q(z_prev | z_t, z_0), the one of ancestral sampling between two levels."""
    return (1 - abar_prev) / (1 - abar) * (1 - abar / abar_prev)


def ddim_step(z_t: Tensor, z0: Tensor, abar: float, abar_prev: float, eta: float, noise: Tensor | None = None) -> Tensor:
    """One DDIM step from z_t and the predicted clean z0 to z_prev [B, D] (Song et al. eq. 12).

    Args:
        abar: at z_t, below 1.
        abar_prev: at z_prev; 1 gives a clean sample.
        eta: 0 is deterministic, 1 is ancestral sampling.
        noise: standard normal like z_t; needed if eta > 0.
    """
    sigma = eta * root(reverse_variance(abar, abar_prev))
    z_prev = root(abar_prev) * z0 + root(1 - abar_prev - sigma**2) * predicted_noise(z_t, z0, abar)
    return z_prev if noise is None else z_prev + sigma * noise


def ddim_sample(eps: Callable[[Tensor, int], Tensor], z: Tensor, levels: Levels) -> Tensor:
    """Denoise z [B, ...] through all levels by deterministic DDIM.

    Args:
        eps: eps(z, t) -> predicted noise like z.
        z: at the first level.
    """
    for t, abar, abar_prev in zip(levels.timesteps, levels.abar, levels.abar_prev, strict=True):
        z = ddim_step(z, predicted_clean(z, eps(z, t), abar), abar, abar_prev, eta=0.0)
    return z


def classifier_free(
    eps: Callable[[Tensor, int, Tensor], Tensor], condition: Tensor, unconditional: Tensor, scale: float
) -> Callable[[Tensor, int], Tensor]:
    """Classifier-free guidance eps_u + s (eps_c - eps_u) (Ho and Salimans 2022) as a function of latents z [B, ...] and step t.

    Args:
        eps: eps(z [2B, ...], t, conditions [2B, L, D]): both predictions are one batch.
        condition: of the prompts [B, L, D].
        unconditional: of the empty prompt [1, L, D].
        scale: s.
    """
    both = torch.cat([unconditional.expand_as(condition), condition])

    def guided(z: Tensor, t: int) -> Tensor:
        without, given = eps(torch.cat([z, z]), t, both).chunk(2)
        return without + scale * (given - without)

    return guided
