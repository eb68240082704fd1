"""Minority guidance in the space of representations (Bad-OOD 3.2, after Um & Ye 2024).

A representation that a diffusion model, after a little noise, restores to something else lies where the model has seen
little. Guidance climbs the gradient of that discrepancy along the reverse process.

`denoise(z_t [B, D], t [B]) -> z0 [B, D]` predicts the clean representation and `abar` [T] is its schedule. Only gradients
with respect to z are taken: the denoiser is frozen and in eval mode.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from penumbra.elementary import root
from penumbra.guidance.diffusion import Noise, ddim_step, q_sample, reverse_variance
from penumbra.schedules import Levels

Denoiser = Callable[[Tensor, Tensor], Tensor]

DISTANCES: dict[str, Callable[[Tensor], Tensor]] = {
    "l2": lambda difference: torch.linalg.vector_norm(difference, dim=-1),
    "l1": lambda difference: difference.abs().sum(-1),
    "l2_squared": lambda difference: difference.square().sum(-1),
}
NORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "linf": lambda gradient: gradient.abs().amax(1, keepdim=True),
    "l2": lambda gradient: torch.linalg.vector_norm(gradient, dim=1, keepdim=True),
    "none": lambda gradient: torch.ones_like(gradient[:, :1]),
}


@dataclass(frozen=True)
class Metric:
    """The minority metric. s: forward steps of noise; distance: a key of DISTANCES."""

    s: int
    distance: str


@dataclass(frozen=True)
class Reverse:
    """The reverse process and where a push enters it.

    Attributes:
        eta: of DDIM.
        every: push at every so many steps, the first included.
        space: what the push is added to: "prev" the sample z_prev of the step, "x0" the predicted clean z0, "eps" the
            predicted noise as eps - sqrt(1 - abar) push (Dhariwal & Nichol 2021, Alg. 2).
        norm: each push is divided by its own norm, a key of NORMS.
        variance: multiply the push by the variance of the reverse step.
    """

    eta: float
    every: int
    space: str
    norm: str
    variance: bool


class Push(Protocol):
    """What drives the samples at a reverse step."""

    def __call__(self, denoise: Denoiser, z_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor | None]:
        """The predicted clean z0 [B, D] at z_t [B, D], and the direction [B, D] before normalisation (None: no push)."""
        ...


def discrepancy(denoise: Denoiser, z0: Tensor, abar: Tensor, metric: Metric, noise: Tensor) -> tuple[Tensor, Tensor]:
    """z0 [B, D] beside its reconstructions [B, M, D] from s steps of noise [B, M, D]: both [B, M, D]."""
    batch, draws, dimension = noise.shape
    clean = z0[:, None].expand(batch, draws, dimension)
    noisy = q_sample(clean, abar[metric.s], noise).reshape(batch * draws, dimension)
    steps = torch.full((batch * draws,), metric.s, device=z0.device)
    return clean, denoise(noisy, steps).reshape(batch, draws, dimension)


@torch.no_grad()
def minority_score(denoise: Denoiser, z0: Tensor, abar: Tensor, metric: Metric, noise: Tensor) -> Tensor:
    """L(z0; s) of Bad-OOD eq. 1 for each clean z0 [B, D]: mean over the draws in noise [B, M, D]. Higher = less likely."""
    clean, restored = discrepancy(denoise, z0, abar, metric, noise)
    return DISTANCES[metric.distance](clean - restored).mean(1)


def minority_gradient(
    denoise: Denoiser, z_t: Tensor, t: Tensor, abar: Tensor, metric: Metric, noise: Tensor, stop_gradient: bool
) -> tuple[Tensor, Tensor]:
    """g(z_t, t; s) of Bad-OOD eq. 2, and the clean z0 predicted on the way.

    Args:
        z_t: [B, D] at steps t [B].
        noise: [B, M, D], one set of draws of the expectation for each sample.
        stop_gradient: take the reconstruction as a constant, so that the gradient passes only through z0(z_t), as in
            Um & Ye's code; otherwise differentiate all of eq. 2.

    Returns:
        (g [B, D], z0 [B, D]), detached. The score rises along +g.
    """
    with torch.enable_grad():
        z = z_t.detach().requires_grad_(True)
        z0 = denoise(z, t)
        with torch.set_grad_enabled(not stop_gradient):
            clean, restored = discrepancy(denoise, z0, abar, metric, noise)
        if stop_gradient:
            clean = z0[:, None].expand_as(restored)
        score = DISTANCES[metric.distance](clean - restored).mean(1)
        (gradient,) = torch.autograd.grad(score.sum(), z)
    return gradient, z0.detach()


def normalised(direction: Tensor, norm: str) -> Tensor:
    """Each row of [B, D] divided by its norm, a key of NORMS; a row of zeros stays."""
    size = NORMS[norm](direction)
    return direction / torch.where(size > 0, size, torch.ones_like(size))


def unguided() -> Push:
    """No push: the plain reverse process."""
    return lambda denoise, z_t, t: (denoise(z_t, t), None)


def minority_push(abar: Tensor, metric: Metric, noise: Noise, draws: int, stop_gradient: bool) -> Push:
    """Push along the minority gradient (Bad-OOD eq. 2), with `draws` fresh draws at each step."""

    def push(denoise: Denoiser, z_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        fresh = noise.normal(draws, z_t.shape[1]).to(z_t)
        gradient, z0 = minority_gradient(denoise, z_t, t, abar, metric, fresh, stop_gradient)
        return z0, gradient

    return push


def gaussian_push(noise: Noise) -> Push:
    """Push in a random direction: Gaussian noise at each denoising step (Bad-OOD app. F, Table 7).

    The paper leaves its size open. It is normalised and scaled exactly as the gradient is, so that the two methods
    differ in the direction of a step and not in its size.
    """
    return lambda denoise, z_t, t: (denoise(z_t, t), noise.normal(z_t.shape[1]).to(z_t))


def guided_step(
    z_t: Tensor, z0: Tensor, push: Tensor | None, abar: float, abar_prev: float, reverse: Reverse, noise: Tensor | None
) -> Tensor:
    """One DDIM step with a push [B, D] (already normalised and scaled) added in the space of `reverse`."""
    if push is not None:
        if reverse.variance:
            push = push * reverse_variance(abar, abar_prev)
        if reverse.space == "x0":
            z0 = z0 + push
        elif reverse.space == "eps":  # eps - sqrt(1 - abar) push, written for the clean prediction
            z0 = z0 + (1 - abar) / root(abar) * push
    z_prev = ddim_step(z_t, z0, abar, abar_prev, reverse.eta, noise)
    return z_prev + push if push is not None and reverse.space == "prev" else z_prev


def reverse_levels(abar: Tensor, t: int, stride: int, loop: str, last_alpha: str) -> Levels:
    """The levels of the reverse process.

    Args:
        abar: [T], the schedule.
        t: noise level that it starts from, above 0.
        stride: between its steps.
        loop: "guided" takes steps from t, t - stride, ..., the last one above 0; "single" takes one step from t to the end.
        last_alpha: abar of the result: "grid" is that of index 0 (a little noise stays, as in RCG), "one" is clean.
    """
    visited = (t,) if loop == "single" else tuple(range(t, 0, -stride))
    return Levels(visited, (*visited[1:], -1 if last_alpha == "one" else 0), tuple(abar.tolist()), final=1.0)


@torch.no_grad()
def guided_reverse(
    denoise: Denoiser, z_t: Tensor, levels: Levels, reverse: Reverse, push: Push, scales: Sequence[float], noise: Noise
) -> Tensor:
    """Denoise z_t [B, D] through all levels under a push of the samples' scales [B] (Bad-OOD 3.2; App. F for `gaussian_push`).

    Args:
        noise: of the DDIM steps; drawn only if eta > 0.

    Returns:
        Representations [B, D]. The denoiser is evaluated once at each z_t: the push hands on the z0 that it predicted.
    """
    scale = torch.as_tensor(scales, dtype=z_t.dtype, device=z_t.device)[:, None]
    z = z_t
    for index, (t, abar, abar_prev) in enumerate(zip(levels.timesteps, levels.abar, levels.abar_prev, strict=True)):
        steps = torch.full((len(z),), t, device=z.device)
        drive = push if index % reverse.every == 0 else unguided()
        z0, direction = drive(denoise, z, steps)
        added = None if direction is None else scale * normalised(direction, reverse.norm)
        fresh = noise.normal(z.shape[1]).to(z) if reverse.eta > 0 else None
        z = guided_step(z, z0, added, abar, abar_prev, reverse, fresh)
    return z
