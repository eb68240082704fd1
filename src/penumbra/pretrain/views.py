"""Random views of an image for contrastive learning, for a whole batch at once."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.elementary import root

BLUR_RADIUS = 3  # pixels; covers the sigmas that make sense at small image sizes


def random_view(images: Tensor, policy: dict[str, Any], generator: torch.Generator) -> Tensor:
    """One view of each image: resized crop, rotation, flip, contrast and brightness, blur.

    Args:
        images: [B, 3, H, W] in [0, 1].
        policy: "crop_area" [low, high] of the image's area, "crop_aspect" (largest ratio of the sides), "rotation" (largest
            angle in degrees), "flip" (bool), "contrast" and "brightness" (largest change), "blur_share" of the views, "blur_sigma"
            [low, high] in pixels.
        generator: draws everything.

    Returns:
        Views of the same shape in [0, 1].
    """
    views = _crop(images, policy, generator)
    views = _recolour(views, policy["contrast"], policy["brightness"], generator)
    return _blur(views, policy["blur_share"], policy["blur_sigma"], generator)


def _uniform(batch: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(batch, generator=generator)


def _crop(images: Tensor, policy: dict[str, Any], generator: torch.Generator) -> Tensor:
    batch = len(images)
    area = _uniform(batch, *policy["crop_area"], generator)
    bound = math.log(policy["crop_aspect"])
    aspect = _uniform(batch, -bound, bound, generator).exp()
    width = root(area * aspect).clamp(max=1.0)
    height = root(area / aspect).clamp(max=1.0)
    angle = _uniform(batch, -1, 1, generator) * math.radians(policy["rotation"])
    column = _uniform(batch, -1, 1, generator) * (1 - width)
    row = _uniform(batch, -1, 1, generator) * (1 - height)
    mirror = torch.where(torch.rand(batch, generator=generator) < 0.5, -1.0, 1.0) if policy["flip"] else torch.ones(batch)
    cos, sin = angle.cos(), angle.sin()
    affine = torch.stack(
        [torch.stack([mirror * width * cos, -height * sin, column], 1), torch.stack([mirror * width * sin, height * cos, row], 1)], 1
    ).to(images)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _recolour(images: Tensor, contrast: float, brightness: float, generator: torch.Generator) -> Tensor:
    factor = _uniform(len(images), 1 - contrast, 1 + contrast, generator).to(images)[:, None, None, None]
    shift = _uniform(len(images), -brightness, brightness, generator).to(images)[:, None, None, None]
    middle = images.mean((1, 2, 3), keepdim=True)
    return ((images - middle) * factor + middle + shift).clamp(0, 1)


def _blur(images: Tensor, share: float, sigma: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Gaussian blur of a random share of the images; a separable kernel for each."""
    batch, channels, height, width = images.shape
    chosen = torch.rand(batch, generator=generator) < share
    widths = _uniform(batch, *sigma, generator)[:, None]
    offset = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1)
    kernel = torch.where(chosen[:, None], torch.exp(-0.5 * (offset / widths) ** 2), (offset == 0).float())
    kernel = (kernel / kernel.sum(1, keepdim=True)).to(images).repeat_interleave(channels, 0)
    x = F.pad(images.reshape(1, batch * channels, height, width), [BLUR_RADIUS] * 4, mode="replicate")
    x = F.conv2d(x, kernel[:, None, :, None], groups=batch * channels)
    return F.conv2d(x, kernel[:, None, None, :], groups=batch * channels).reshape(images.shape)
