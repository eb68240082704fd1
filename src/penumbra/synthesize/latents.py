"""Latents of a text-to-image pipeline: the levels that they are denoised through, and images to latents and back."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.images import encode
from penumbra.errors import PenumbraError
from penumbra.guidance.diffusion import ddim_sample
from penumbra.models.latent import LatentDiffusion
from penumbra.noise import SampleNoise
from penumbra.runtime import inference_batch
from penumbra.schedules import Levels
from penumbra.stage import Params, Stage
from penumbra.synthesize.prompted import BLOCK, Prompted
from penumbra.synthesize.tone import toned

Eps = Callable[[Tensor, int], Tensor]  # eps(z, t): the noise predicted in latents z [B, C, h, w] at step t
CODED = 8  # images that a GPU encodes or decodes at a time: a whole block of 512 x 512 ones takes tens of gigabytes
DIFFERENTIATED = 2  # images that a GPU decodes and differentiates at a time: a 512 x 512 one takes gigabytes


def levels_of(model: LatentDiffusion, p: Params) -> Levels:
    """The noise levels that p.sampler visits in p.steps (synthesize.METHOD)."""
    levels = model.levels(p.steps)
    return levels.plms() if p.sampler == "pndm" else levels


def images_of(pixels: np.ndarray, device: torch.device) -> Tensor:
    """Images [B, 3, S, S] in [0, 1] of uint8 pixels [B, S, S, 3]."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images [B, 3, H, W] at another size, the whole image, bilinear; its aspect is not kept."""
    if tuple(images.shape[-2:]) == size:
        return images
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)


def coded_at_once(model: LatentDiffusion, count: int) -> int:
    """Images of `count` that the autoencoder takes at a time."""
    return CODED if model.device.type == "cuda" else max(count, 1)


def differentiated_at_once(model: LatentDiffusion) -> int | None:
    """Images that the decoder takes at a time where a gradient passes it; None: all."""
    return DIFFERENTIATED if model.device.type == "cuda" else None


def encoded(model: LatentDiffusion, images: Tensor, noise: Tensor | None) -> Tensor:
    """Latents of images [B, 3, H, W]: see `LatentDiffusion.encode`."""
    size = coded_at_once(model, len(images))
    rows = (slice(start, start + size) for start in range(0, len(images), size))
    return torch.cat([model.encode(images[part], None if noise is None else noise[part]) for part in rows])


def to_pixels(images: Tensor, size: int, name: str, grey: bool) -> np.ndarray:
    """uint8 [B, size, size, 3] of images [B, 3, H, W], about [0, 1], in the tone that they are saved in (`toned`).

    Raises:
        PenumbraError: an image is not finite; names the pipeline `name` that drew it.
    """
    images = resized(images, (size, size))
    if not images.isfinite().all():
        raise PenumbraError(
            f"{name}: has drawn images with NaN. Take less scale or text_guidance (params.yaml, synthesize; of synood less "
            "guidance_scale or step_size)."
        )
    return toned((images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy(), grey)


def draw_pixels(model: LatentDiffusion, latents: Tensor, size: int, grey: bool) -> np.ndarray:
    """uint8 [B, size, size, 3] of latents [B, C, h, w], in the tone that they are saved in (`toned`).

    Raises:
        PenumbraError: an image is not finite.
    """
    parts = latents.split(coded_at_once(model, len(latents)))
    return to_pixels(torch.cat([resized(model.decode(part), (size, size)) for part in parts]), size, model.name, grey)


@torch.no_grad()
def drawn(
    model: LatentDiffusion, block: Sequence[Prompted], stage: Stage, name: str, eps: Callable[[Sequence[Prompted]], Eps]
) -> Iterator[dict]:
    """Rows of candidates, image and provenance, by deterministic DDIM in `steps` (synthesize.METHOD); the noise of each is its own.

    Args:
        name: of the method's room, to which the noise belongs.
        eps: of some candidates, what denoises their latents.
    """
    common, levels, size = stage.params.common, model.levels(stage.params.synthesize[stage.item].steps), inference_batch(BLOCK)
    for part in (block[start : start + size] for start in range(0, len(block), size)):
        denoise = eps(part)
        start = SampleNoise(common.seed, name, [f"{each.label}-{each.copy}" for each in part]).normal(*model.latent_shape)
        latents = ddim_sample(denoise, start.to(model.device), levels)
        for each, image in zip(part, draw_pixels(model, latents, common.image_size, common.grey), strict=True):
            yield {"image": encode(image), **each.provenance(stage)}
