"""Latents of images that a diffusion model learns from: made once, read batch by batch."""

from pathlib import Path

from torch import Tensor

from penumbra.artifacts.rows import StoredRows, store_rows
from penumbra.models.latent import LatentDiffusion
from penumbra.pretrain.autoencoder import INFERENCE_BATCH
from penumbra.pretrain.images import Images


def store_latents(path: Path, model: LatentDiffusion, images: Images | Tensor) -> StoredRows:
    """Scaled latents [N, C, h, w] of uint8 images [N, 3, S, S].

    Args:
        path: in the scratch folder of the stage.
    """
    batches = (model.encode(batch.float() / 255) for batch in images.split(INFERENCE_BATCH))
    return store_rows(path, len(images), batches, images.device)
