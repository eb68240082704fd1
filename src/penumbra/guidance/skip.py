"""Outliers by repainting an ID image again and again from a noise that an OOD loss corrects (SynOOD 3.3).

The image is noised part of the way and denoised. What comes out is decoded and judged by an ID classifier, and the noise is
moved down the gradient of the loss at the decoder's input: the chain of denoising in between is skipped, its Jacobian taken
as a constant (eq. 9). With z = sf u the latents of a UNet, sf the scaling factor of the autoencoder, this is the gradient
with respect to u, the decoder's input as it is.

Eq. 7 of the paper, L = m - tau log sum exp(g / tau), is not here: minimised, it raises the log-sum-exp and makes an image more
ID. The losses below go the other way, as the official code does.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.elementary import logsumexp
from penumbra.guidance.diffusion import q_sample
from penumbra.guidance.partial import SAMPLERS
from penumbra.schedules import Levels

# eps(z [B, C, h, w], t) -> predicted noise [B, C, h, w], whatever the prompts
Eps = Callable[[Tensor, int], Tensor]


def free_energy(logits: Tensor, temperature: float) -> Tensor:
    """E [B] = -tau log sum_c exp(g_c / tau) of logits g [B, C] (Liu et al. 2020); higher = more OOD."""
    return -temperature * logsumexp(logits / temperature, dim=1)


def centred_energy(logits: Tensor, temperature: float) -> Tensor:
    """mean_c g_c + E [B]: the energy of logits g [B, C] whose mean is taken off; higher = more OOD.

    It is at most -tau log C, which equal logits reach (Jensen).
    """
    return logits.mean(1) + free_energy(logits, temperature)


@dataclass(frozen=True)
class OodLoss:
    """What an outlier should be to a classifier; lower = more so. Every image has its own.

    Attributes:
        kind: energy, (m - s)^2 of the centred energy s (official code) | hinge, max(0, m - E)^2 of the energy E, the term of
            Liu et al. 2020 for outliers | uniform, the KL divergence of the classifier's softmax from uniform,
            -s / tau - log C.
        margin: m.
        temperature: tau.

    With m above -tau log C, the bound of s, the first loss reaches its least value for equal logits and not before: like the
    third it has no boundary to stop at. The official m = -5 is above it for 1000 classes (-6.9). With few classes it is below,
    and what is less ID than m is led back into ID. The second loss has a boundary too, and then leaves the noise as it is.
    """

    kind: str
    margin: float
    temperature: float

    def energy(self, logits: Tensor) -> Tensor:
        """The energy [B] of logits [B, C] that the loss acts on: E for hinge, else s."""
        return (free_energy if self.kind == "hinge" else centred_energy)(logits, self.temperature)

    def __call__(self, logits: Tensor) -> Tensor:
        """The loss [B] of logits [B, C]."""
        energy = self.energy(logits)
        if self.kind == "uniform":
            return -energy / self.temperature - math.log(logits.shape[1])
        return (self.margin - energy if self.kind == "energy" else F.relu(self.margin - energy)) ** 2


@dataclass(frozen=True)
class Judge:
    """How decoder inputs u [B, C, h, w] become losses.

    Attributes:
        decode: images [B, 3, H, W], about [0, 1], of u; differentiable.
        classify: logits [B, classes] of images in [0, 1]; differentiable.
        loss: of the logits.
        at_once: images that are decoded at a time, where memory does not hold B of them; None: all.
    """

    decode: Callable[[Tensor], Tensor]
    classify: Callable[[Tensor], Tensor]
    loss: OodLoss
    at_once: int | None = None


@dataclass(frozen=True)
class Judged:
    """Images [B, 3, H, W], with the energy and loss [B] of each."""

    images: Tensor
    energy: Tensor
    loss: Tensor


@dataclass(frozen=True)
class Repainted:
    """What `repaint` returns.

    Attributes:
        last: images, energy and loss of the last run.
        inputs: decoder inputs [B, C, h, w] of each of the K runs.
        energy, loss: [B, K], after each run.
    """

    last: Judged
    inputs: list[Tensor]
    energy: Tensor
    loss: Tensor


def _parts(judge: Judge, u: Tensor) -> tuple[Tensor, ...]:
    return u.split(judge.at_once or max(len(u), 1))


@torch.no_grad()
def judge_images(judge: Judge, u: Tensor) -> Judged:
    """Decode u [B, C, h, w] and judge it, without a gradient. The classifier sees what can be stored: images clamped to [0, 1]."""
    found = []
    for part in _parts(judge, u):
        images = judge.decode(part)
        logits = judge.classify(images.clamp(0, 1))
        found.append((images, judge.loss.energy(logits), judge.loss(logits)))
    return Judged(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def loss_gradient(judge: Judge, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """dL/du of each image at its own decoder input (the chain rule of SynOOD eq. 9).

    The losses of a batch are added, not averaged, so that an image's gradient is the same in any batch.

    Returns:
        (gradient [B, C, h, w], energy [B], loss [B]), detached.
    """
    found = []
    for part in _parts(judge, u):
        with torch.enable_grad():
            leaf = part.detach().requires_grad_(True)
            logits = judge.classify(judge.decode(leaf).clamp(0, 1))
            loss = judge.loss(logits)
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        found.append((gradient, judge.loss.energy(logits.detach()), loss.detach()))
    gradient, energy, loss = (torch.cat(parts) for parts in zip(*found, strict=True))
    return gradient, energy, loss


def levels_left(levels: Levels, steps: int, strength: float) -> Levels:
    """The levels that are gone through when int(steps strength) of the steps are left.

    PLMS visits one level twice: its levels are one more than that (`Levels.plms`).
    """
    return levels.since(steps - int(steps * strength))


def start_latents(clean: Tensor, noise: Tensor, abar: float) -> Tensor:
    """z_T of clean latents [B, C, h, w] and a noise like them (SynOOD eq. 4); abar = 0: the noise alone."""
    return q_sample(clean, abar, noise)


@torch.no_grad()
def denoised(eps: Eps, z: Tensor, levels: Levels, sampler: str) -> Tensor:
    """z [B, C, h, w] at the first of the levels, taken through all of them (SynOOD eq. 5 for ddim).

    Args:
        sampler: a key of SAMPLERS.
    """
    advance = SAMPLERS[sampler](levels)
    for place, t in enumerate(levels.timesteps):
        z = advance(z, eps(z, t), torch.full((len(z),), place))
    return z


@torch.no_grad()
def repaint(denoise: Callable[[Tensor], Tensor], judge: Judge, noise: Tensor, iterations: int, step_size: float) -> Repainted:
    """Denoise `iterations` times, and between two runs correct the noise (SynOOD eq. 10):

        noise <- noise - r rho dL/du.

    The noise is neither normalised nor clipped. After the last run nothing is updated, so it is judged without a gradient.

    Args:
        denoise: the decoder's input u [B, C, h, w] that a noise like it leads to.
        noise: standard normal at first.
        iterations: at least 1.
        step_size: r rho, of each image.
    """
    inputs, energies, losses = [], [], []
    for left in reversed(range(iterations)):
        inputs.append(denoise(noise))
        if left:
            gradient, energy, loss = loss_gradient(judge, inputs[-1])
            noise = noise - step_size * gradient
        else:
            last = judge_images(judge, inputs[-1])
            energy, loss = last.energy, last.loss
        energies.append(energy)
        losses.append(loss)
    return Repainted(last, inputs, torch.stack(energies, 1), torch.stack(losses, 1))
