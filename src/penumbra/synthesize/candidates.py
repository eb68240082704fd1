"""Candidate outliers of Bad-OOD: from representations of ID images to guided ones, to images."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.guidance.diffusion import q_sample
from penumbra.guidance.minority import (
    Denoiser,
    Metric,
    Push,
    Reverse,
    gaussian_push,
    guided_reverse,
    minority_push,
    minority_score,
    unguided,
)
from penumbra.models.mage import MAGE
from penumbra.models.moco import standardise
from penumbra.noise import SampleNoise
from penumbra.stage import Params


@dataclass(frozen=True)
class Streams:
    """Noise of a batch of candidates, one independent stream per purpose.

    A stream depends on the candidate alone, not on the method or on what other purposes draw: guided and unguided samples,
    and the candidates of two methods, then differ by the guidance and by nothing else.
    """

    seed: int
    candidates: Sequence[str]

    def of(self, purpose: str) -> SampleNoise:
        """A fresh stream of that purpose, from its beginning."""
        return SampleNoise(self.seed, f"synthesize/{purpose}", self.candidates)


@dataclass(frozen=True)
class Guided:
    """Guided representations [B, D], their distance from the unguided ones [B], and the minority scores of both [B]."""

    representation: Tensor
    displacement: Tensor
    minority_before: Tensor
    minority_after: Tensor


def _push(abar: Tensor, metric: Metric, streams: Streams, p: Params) -> Push:
    if p.guidance == "gaussian":
        return gaussian_push(streams.of("guidance"))
    return minority_push(abar, metric, streams.of("guidance"), p.draws, p.stop_gradient)


def guide(denoise: Denoiser, abar: Tensor, z0: Tensor, scales: Sequence[float], streams: Streams, p: Params) -> Guided:
    """Noise representations z0 [B, D] of ID images to p.t and denoise them, once under guidance and once without (Bad-OOD 3.2).

    Args:
        denoise: the frozen RDM, with its schedule abar [T].
        scales: of the guidance, one for each sample.
        streams: of the B candidates.
        p: parameters of the method (params.yaml, synthesize.METHOD).
    """
    metric = Metric(p.s, p.distance)
    reverse = Reverse(p.t, p.stride, p.loop, p.eta, p.last_alpha, p.every, p.space, p.norm, p.variance)
    dimension = z0.shape[1]
    z_t = q_sample(z0, abar[p.t], streams.of("forward").normal(dimension).to(z0))
    plain = guided_reverse(denoise, z_t, abar, reverse, unguided(), scales, streams.of("reverse"))
    guided = guided_reverse(denoise, z_t, abar, reverse, _push(abar, metric, streams, p), scales, streams.of("reverse"))
    if p.restandardize:
        plain, guided = standardise(plain), standardise(guided)
    draws = streams.of("score").normal(p.score_draws, dimension).to(z0)
    before, after = (minority_score(denoise, z, abar, metric, draws) for z in (plain, guided))
    return Guided(guided, torch.linalg.vector_norm(guided - plain, dim=1), before, after)


def draw_images(mage: MAGE, representation: Tensor, noise: SampleNoise, size: int, p: Params) -> Tensor:
    """uint8 pixels [B, size, size, 3] that MAGE makes of representations [B, D]."""
    images = mage.generate(representation, noise, p.decode_steps, p.decode_temperature, p.decode_guidance)
    if images.shape[-1] != size:
        images = F.interpolate(images, (size, size), mode="bicubic", align_corners=False, antialias=True)
    return (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu()
