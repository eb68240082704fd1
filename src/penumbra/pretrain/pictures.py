"""Images that a trained pipeline draws."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from penumbra.artifacts.images import encode
from penumbra.guidance.diffusion import classifier_free, ddim_sample
from penumbra.models.latent import LatentDiffusion


@torch.no_grad()
def draw(model: LatentDiffusion, prompts: Sequence[str], noise: Tensor, steps: int, guidance: float, *shown: Tensor) -> Tensor:
    """Images [B, 3, S, S] in [0, 1] of B prompts by DDIM with classifier-free guidance.

    Args:
        noise: standard normal [B, C, h, w].
        steps: of DDIM.
        guidance: s of eps_u + s (eps_c - eps_u).
        shown: what an in-painting model is shown beside the latents, mask and masked latents of each image.
    """
    conditions, twice = model.embed(["", *prompts]), [part.repeat(2, 1, 1, 1) for part in shown]
    eps = classifier_free(lambda z, t, both: model.eps(z, t, both, *twice), conditions[1:], conditions[:1], guidance)
    return model.decode(ddim_sample(eps, noise.to(model.device), model.levels(steps))).clamp(0, 1)


def png(image: Tensor) -> bytes:
    """PNG bytes of an image [3, S, S] in [0, 1]."""
    pixels = (image * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return encode(np.ascontiguousarray(pixels))
