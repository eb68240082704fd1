"""An in-painting pipeline taken apart: any directory or hub id in the layout of diffusers' StableDiffusionInpaintPipeline.

Its UNet sees the noisy latents, the mask of what it shall paint, and the latents of the image where the masked part is
mid-grey. With everything masked it is a text-to-image pipeline.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.models.latent import LatentDiffusion

GREY = 0.5  # of a masked pixel in [0, 1]: the zero of the autoencoder's range


class InpaintingDiffusion(LatentDiffusion):
    """Frozen autoencoder, text encoder and UNet of latents, mask and masked latents."""

    PIPELINE = "StableDiffusionInpaintPipeline"
    OTHER_UNET = "Name an in-painting pipeline: its UNet takes 2 C + 1 channels, the latents, the mask and the masked latents."

    @staticmethod
    def input_channels(latents: int) -> int:
        """Those of the latents, the mask and the masked latents."""
        return 2 * latents + 1

    def eps(self, z: Tensor, t: int | Tensor, condition: Tensor, mask: Tensor | None = None, masked: Tensor | None = None) -> Tensor:
        """Predicted noise [B, C, h, w], float32, of latents z [B, C, h, w].

        Args:
            t: index of the training schedule, one for all or [B].
            condition: text conditions [B, L, D].
            mask: 1 where the UNet paints, else 0, [B or 1, 1, h, w]; None: it paints everything.
            masked: latents of the image with its masked part in mid-grey, [B or 1, C, h, w]; None: those of a grey image.
        """
        mask = z.new_ones(1, 1, *z.shape[2:]) if mask is None else mask.to(z)
        masked = self.grey_latents(*z.shape[2:]).to(z) if masked is None else masked.to(z)
        shown = (part.expand(len(z), -1, -1, -1) for part in (mask, masked))
        return self._eps(torch.cat([z, *shown], dim=1), z, t, condition)

    def cover(self, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What the UNet is shown of images that it shall paint in part, as diffusers prepares it.

        Args:
            images: [B, 3, H, W] in [0, 1].
            mask: 1 where it shall paint, else 0, [B, 1, H, W].

        Returns:
            The mask [B, 1, h, w] at the latents, and the latents [B, C, h, w] of the images with that part in mid-grey.
        """
        masked = self.encode(torch.where(mask >= 0.5, GREY, images))
        return F.interpolate(mask.float(), masked.shape[2:]), masked

    def grey_latents(self, height: int, width: int) -> Tensor:
        """Latents [1, C, h, w] of an image that is mid-grey all over: the mean of the posterior; computed once for each size."""
        kept = self.__dict__.setdefault("_grey", {})
        if (height, width) not in kept:
            image = torch.full((1, 3, height * self.factor, width * self.factor), GREY, device=self.vae.device)
            kept[height, width] = self.encode(image)
        return kept[height, width]
