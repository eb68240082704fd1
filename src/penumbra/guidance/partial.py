"""Denoising under semantic guidance from a noise level of each image's own (SONA 3.2; SDEdit).

The samples of a batch start at their first steps together, each at its own noise level, and leave the batch when they are
clean. So everything that counts executed steps, warm-up, momentum and the multistep sampler, is one number for the batch, and
no UNet evaluation is spent on a sample that is done.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from penumbra.guidance.diffusion import ddim_step, predicted_clean, q_sample
from penumbra.guidance.semantic import Edit, Masks, guide
from penumbra.schedules import Levels

# eps(z [B, C, h, w], t [B], conditions [B, L, D]) -> predicted noise [B, C, h, w]
Eps = Callable[[Tensor, Tensor, Tensor], Tensor]
# record(step, rows [b], predicted clean latents [b, C, h, w], masks [b, C, h, w] of each term)
Record = Callable[[int, Tensor, Tensor, Masks], None]
# coefficients of the last noise predictions, the newest first (Adams-Bashforth; Liu et al. 2022)
ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


class Ddim:
    """DDIM without noise."""

    def __init__(self, levels: Levels):
        self._levels = levels
        self._timesteps, self._following = torch.tensor(levels.timesteps), torch.tensor(levels.following)

    def _advance(self, z: Tensor, eps: Tensor, t: Tensor, following: Tensor) -> Tensor:
        abar, abar_prev = (self._levels.at(steps).to(z) for steps in (t, following))
        return ddim_step(z, predicted_clean(z, eps, abar), abar, abar_prev, eta=0.0)

    def __call__(self, z: Tensor, eps: Tensor, places: Tensor) -> Tensor:
        """The latents one step cleaner than z [B, C, h, w]; places [B] are theirs among the levels."""
        return self._advance(z, eps, self._timesteps[places], self._following[places])


class Plms(Ddim):
    """The pseudo linear multistep sampler as diffusers' PNDMScheduler runs it with `skip_prk_steps`.

    It takes its second step from where the first started, and expects that timestep twice. Started in the middle of its
    timesteps, as the official code of SONA does, it does not get it twice: from the third step on, the latents are one stride
    noisier than the sampler assumes.
    """

    def __init__(self, levels: Levels):
        super().__init__(levels)
        self._history: list[Tensor] = []  # oldest first; a batch only ever loses its last samples
        self._start: Tensor | None = None

    def __call__(self, z: Tensor, eps: Tensor, places: Tensor) -> Tensor:
        if self._start is not None:
            mean = (eps + self._history[0][: len(z)]) / 2
            start, self._start = self._start[: len(z)], None
            t = self._timesteps[places]
            stride = t - self._following[places]
            return self._advance(start, mean, t + stride, t)
        if not self._history:
            self._start = z.clone()
        self._history = [*(former[: len(z)] for former in self._history[-3:]), eps]
        newest_first = zip(ADAMS_BASHFORTH[len(self._history) - 1], reversed(self._history), strict=True)
        return super().__call__(z, sum(weight * former for weight, former in newest_first), places)


SAMPLERS: dict[str, type[Ddim]] = {"ddim": Ddim, "pndm": Plms}


@torch.no_grad()
def edited(
    eps: Eps,
    clean: Tensor,
    noise: Tensor,
    stops: Tensor,
    conditions: Tensor,
    edit: Edit,
    levels: Levels,
    sampler: str = "ddim",
    record: Record | None = None,
) -> Tensor:
    """Noise latents to the level from which `stops` steps are left, and denoise them under the guidance of `edit`.

    Args:
        eps: of the frozen UNet.
        clean: [B, C, h, w].
        noise: standard normal like `clean`.
        stops: [B], each at most the number of levels; 0 gives the clean latent back.
        conditions: [1 + K, B, L, D], the unconditional one and those of edit.conditions in that order.
        edit: the guidance.
        levels: those that the sampler visits.
        sampler: a key of SAMPLERS.
        record: is told of every step.

    Returns:
        Latents [B, C, h, w], in the order of `clean`.
    """
    stops = stops.cpu()
    order = torch.argsort(stops, descending=True, stable=True)
    stops, rows = stops[order], order.to(clean.device)
    z, conditions = clean[rows].clone(), conditions[:, rows]
    started, first, timesteps = int((stops > 0).sum()), len(levels) - stops, torch.tensor(levels.timesteps)
    z[:started] = q_sample(z[:started], levels.at(timesteps[first[:started]]).to(z), noise[rows[:started]].to(z))
    advance, momentum = SAMPLERS[sampler](levels), torch.zeros_like(z)
    for step in range(int(stops[0])):
        active = int((stops > step).sum())
        places = first[:active] + step
        z_t, t = z[:active], timesteps[places]
        unconditional, *conditional = _predictions(eps, z_t, t, conditions[:, :active])
        guided = guide(unconditional, dict(zip(edit.conditions, conditional, strict=True)), edit, step, momentum[:active])
        if record is not None:
            record(step, order[:active], predicted_clean(z_t, guided.eps, levels.at(t).to(z)), guided.masks)
        momentum = guided.momentum
        z[:active] = advance(z_t, guided.eps, places)
    return z[torch.argsort(rows)]


def _predictions(eps: Eps, z: Tensor, t: Tensor, conditions: Tensor) -> tuple[Tensor, ...]:
    """The noise that is predicted of z [B, C, h, w] under each of conditions [N, B, L, D]; the UNet sees all of them as one batch."""
    count = len(conditions)
    return eps(z.repeat(count, 1, 1, 1), t.repeat(count), conditions.flatten(0, 1)).chunk(count)
