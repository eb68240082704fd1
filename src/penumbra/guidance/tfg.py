"""Training-free guidance of a diffusion sampler by any differentiable log f (TFG, Ye et al. 2024; GOOD, Algorithm 1).

At each noise level the sampler predicts the clean x0(x) and is pushed up the gradient of log f there, twice: through the
network to the noisy x (variance guidance, strength rho) and at x0 itself (mean guidance, strength mu). f is smoothed by
Gaussian noise of standard deviation gamma (implicit dynamics).

`eps(x [B, ...], t) -> [B, ...]` predicts the noise, `log_f(x0 [B, ...]) -> [B]` is what is climbed; it is always called
with the B samples in their order, and the value of a sample must depend on that sample alone. Both are frozen and in eval
mode: only gradients with respect to x are taken.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from penumbra.elementary import logsumexp
from penumbra.guidance.diffusion import Noise, ddim_step, predicted_clean
from penumbra.schedules import Levels

Eps = Callable[[Tensor, int], Tensor]
LogF = Callable[[Tensor], Tensor]
Strength = float | Sequence[float] | Tensor  # one for all samples, or one for each


@dataclass(frozen=True)
class Guidance:
    """How a sampler is guided.

    Attributes:
        rho: strength of variance guidance, the mean over the levels; any sign.
        mu: strength of mean guidance, likewise.
        gamma: standard deviation of the implicit dynamics, in the units of x0; 0 takes log f as it is.
        rho_schedule: increase | decrease | constant, over the levels; see `ramp`.
        mu_schedule: likewise.
        gamma_schedule: decrease (gamma sqrt(1 - abar_t)) | constant.
        draws: Monte-Carlo samples of the smoothed f.
        iterations: steps of mean guidance at each level, each of the full strength.
        recurrences: times that each level is passed; the sample is noised again in between.
        eta: of DDIM; 0 is deterministic, 1 is ancestral sampling.
        clip: largest absolute value of a predicted clean element, or None.
    """

    rho: Strength
    mu: Strength
    gamma: Strength
    rho_schedule: str = "increase"
    mu_schedule: str = "increase"
    gamma_schedule: str = "decrease"
    draws: int = 1
    iterations: int = 1
    recurrences: int = 1
    eta: float = 0.0
    clip: float | None = None


@dataclass(frozen=True)
class Step:
    """One step of the sampler, from a noise level to the next, with the strengths that hold there, each [B, 1, ...]."""

    t: int
    abar: float
    abar_prev: float
    rho: Tensor
    mu: Tensor

    @property
    def ratio(self) -> float:
        """abar_t / abar_prev: alpha_t of the papers, over a stride of the sampler."""
        return self.abar / self.abar_prev


def ramp(kind: str, levels: Levels) -> list[float]:
    """Multipliers of a strength at each of the T levels; their mean is 1 (TFG app. B).

    Args:
        kind: increase (in proportion to alpha_t) | decrease (to 1 - alpha_t) | constant; alpha_t = abar_t / abar_prev.
    """
    alphas = [abar / prev for abar, prev in zip(levels.abar, levels.abar_prev, strict=True)]
    weights = {"increase": alphas, "decrease": [1 - alpha for alpha in alphas], "constant": [1.0] * len(alphas)}[kind]
    return [weight * len(weights) / math.fsum(weights) for weight in weights]


def spreads(kind: str, levels: Levels) -> list[float]:
    """Standard deviation of the implicit dynamics at each level, in units of gamma: sqrt(1 - abar_t) (decrease) or 1 (constant)."""
    return [math.sqrt(1 - abar) if kind == "decrease" else 1.0 for abar in levels.abar]


def repeated(levels: Levels) -> Levels:
    """The levels that TFG's and GOOD's code visits with the PNDM scheduler of Stable Diffusion: as many, but the second one twice.

    Each step leads to the next level that is visited. So at the first visit of the second level guidance acts without denoising
    (alpha_t = 1). The cleanest level is not visited, so that the result keeps its little noise.
    """
    visited = levels.plms().timesteps
    return replace(levels, timesteps=visited[:-1], following=visited[1:]) if len(visited) > 1 else levels


def clamped(x0: Tensor, clip: float | None) -> Tensor:
    """x0 [B, ...] in +-clip; it has no gradient where it was outside."""
    return x0 if clip is None else x0.clamp(-clip, clip)


def smoothed(log_f: LogF, x0: Tensor, shifts: Tensor | None) -> Tensor:
    """log of the mean of f(x0 + d) over n shifts [n, B, ...], for each of x0 [B, ...]: [B]; None: log f itself."""
    if shifts is None:
        return log_f(x0)
    return logsumexp(torch.stack([log_f(x0 + shift) for shift in shifts]), 0) - math.log(len(shifts))


def clean_gradient(log_f: LogF, x0: Tensor, shifts: Tensor | None) -> Tensor:
    """Gradient [B, ...] of the smoothed log f at each of x0 [B, ...]."""
    with torch.enable_grad():
        x0 = x0.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(smoothed(log_f, x0, shifts).sum(), x0)
    return gradient


def guided_step(eps: Eps, log_f: LogF, x: Tensor, step: Step, guidance: Guidance, shifts: Tensor | None, noise: Tensor | None) -> Tensor:
    """One step of the guided sampler from x [B, ...] at a level to the next cleaner one (GOOD, Algorithm 1, lines 4-10).

    The gradient of log f at x0 is computed once. It is the first step of mean guidance, and variance guidance carries it
    through the network as a vector-Jacobian product:

        grad_x log f(x0(x)) = (d x0 / d x)^T grad_x0 log f(x0).

    So a step costs one pass of the network forward and (if rho is not 0) one backward, and one pass of log f forward and
    backward for each iteration of mean guidance.

    Args:
        shifts: draws of the implicit dynamics [n, B, ...]: one set for variance and mean guidance. None: no smoothing.
        noise: standard normal [B, ...] if eta > 0.
    """
    by_variance, by_mean = bool(step.rho.any()), bool(step.mu.any())
    with torch.set_grad_enabled(by_variance):
        leaf = x.detach().requires_grad_(by_variance)
        predicted = clamped(predicted_clean(leaf, eps(leaf, step.t), step.abar), guidance.clip)
    x0 = predicted.detach()
    prev = ddim_step(x, x0, step.abar, step.abar_prev, guidance.eta, noise)
    if not (by_variance or by_mean):
        return prev
    gradient = clean_gradient(log_f, x0, shifts)
    if by_variance:
        (through,) = torch.autograd.grad(predicted, leaf, gradient)
        prev = prev + _scaled(step.rho, through) / step.ratio**0.5
    if by_mean:
        moved = x0 + _scaled(step.mu, gradient)
        for _ in range(guidance.iterations - 1):
            moved = moved + _scaled(step.mu, clean_gradient(log_f, moved, shifts))
        prev = prev + step.abar_prev**0.5 * (moved - x0)
    return prev


def _scaled(strength: Tensor, gradient: Tensor) -> Tensor:
    """strength * gradient; 0 where the strength is 0, whatever the gradient of that sample."""
    return torch.where(strength != 0, strength * gradient, torch.zeros_like(gradient))


def _per_sample(value: Strength, x: Tensor) -> Tensor:
    """[B, 1, ...] of one number, or of one for each of x [B, ...]."""
    tensor = torch.as_tensor(value, dtype=x.dtype, device=x.device).expand(len(x))
    return tensor.reshape(-1, *[1] * (x.ndim - 1))


@torch.no_grad()
def guided_sample(eps: Eps, log_f: LogF, x: Tensor, levels: Levels, guidance: Guidance, noise: Noise, smoothing: Noise) -> Tensor:
    """Denoise x [B, ...] through all levels under guidance (GOOD, Algorithm 1; TFG, Algorithm 1 for the recurrence).

    With rho = mu = 0 this is DDIM, bit for bit, and log f is never called.

    Args:
        x: at the first level; standard normal to sample from the model.
        noise: of the sampler; drawn if eta > 0, and between recurrences.
        smoothing: of the implicit dynamics; drawn if gamma > 0. Another stream than `noise`, so that guided and unguided
            samples see the same sampler noise.

    Returns:
        [B, ...] at abar_prev of the last level, detached.
    """
    rho, mu, gamma = (_per_sample(value, x) for value in (guidance.rho, guidance.mu, guidance.gamma))
    guided, smooth, shape = bool(rho.any() or mu.any()), bool(gamma.any()), x.shape[1:]
    factors = zip(
        levels.timesteps,
        levels.abar,
        levels.abar_prev,
        ramp(guidance.rho_schedule, levels),
        ramp(guidance.mu_schedule, levels),
        spreads(guidance.gamma_schedule, levels),
        strict=True,
    )
    for t, abar, abar_prev, rho_factor, mu_factor, spread in factors:
        step = Step(t, abar, abar_prev, rho * rho_factor, mu * mu_factor)
        for left in reversed(range(guidance.recurrences)):
            drawn = smoothing.normal(guidance.draws, *shape).to(x).transpose(0, 1) if guided and smooth else None
            shifts = None if drawn is None else spread * gamma * drawn
            fresh = noise.normal(*shape).to(x) if guidance.eta > 0 else None
            prev = guided_step(eps, log_f, x, step, guidance, shifts, fresh)
            if left:
                x = step.ratio**0.5 * prev + (1 - step.ratio) ** 0.5 * noise.normal(*shape).to(x)
        x = prev
    return x
