"""Training of the autoencoder of a latent diffusion pipeline, before its UNet.

The loss is reconstruction (L1 + L2) and a small Kullback-Leibler term. The perceptual and adversarial losses of the published
autoencoders sharpen textures of large photographs and need networks trained elsewhere; small images do without.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.rows import store_rows
from penumbra.models.latent import AutoencoderKL
from penumbra.noise import generator
from penumbra.pretrain.images import Images
from penumbra.pretrain.maker import made_by
from penumbra.stage import Params
from penumbra.training import History, descend, epochs, summed, warmup_cosine

NAME = "pretrain/diffusion/vae"
INFERENCE_BATCH = 256
GROUPS = 32  # of a GroupNorm, as Stable Diffusion's; fewer where a group would hold less than four channels


def norm_groups(channels: Sequence[int]) -> int:
    """Groups of the GroupNorms of a network whose levels have so many channels."""
    common = math.gcd(*channels)
    return max(groups for groups in range(1, GROUPS + 1) if common % groups == 0 and (4 * groups <= common or groups == 1))


def build(p: Params, image_size: int) -> AutoencoderKL:
    """A fresh autoencoder of the sizes in the parameters."""
    levels = len(p.vae_channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=tuple(p.vae_channels),
        layers_per_block=1,
        latent_channels=p.latent_channels,
        norm_num_groups=norm_groups(p.vae_channels),
        sample_size=image_size,
    )


def reconstruction_loss(vae: AutoencoderKL, images: Tensor, kl_weight: float, draws: torch.Generator) -> Tensor:
    """Loss of images [B, 3, S, S] in [0, 1] decoded from a sample of their posterior.

    The divergence from the standard normal is a mean over latent values, so its weight does not depend on the sizes.
    """
    posterior = vae.encode(2 * images - 1).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=draws).to(images.device)
    decoded = (vae.decode(posterior.mean + posterior.std * noise, return_dict=False)[0] + 1) / 2
    divergence = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
    return F.l1_loss(decoded, images) + F.mse_loss(decoded, images) + kl_weight * divergence


def train_epoch(
    vae: AutoencoderKL, images: Images, optimizer: torch.optim.Optimizer, epoch: int, p: Params, draws: torch.Generator
) -> float:
    """One pass over images; returns the mean loss."""
    vae.train()
    batches = torch.randperm(len(images), generator=draws).split(p.vae_batch_size)

    def loss(batch: Tensor) -> Tensor:
        return reconstruction_loss(vae, images[batch].float() / 255, p.vae_kl, draws)

    def rate(step: int) -> float:
        return p.vae_learning_rate * warmup_cosine(epoch + step / len(batches), p.vae_epochs, 0)

    return summed(each / len(batches) for each in descend(batches, loss, optimizer, rate=rate))


@torch.no_grad()
def reconstruction_error(vae: AutoencoderKL, images: Images) -> float:
    """Mean absolute error (pixels in [0, 1]) of images decoded from the mean of their posterior."""
    total = 0.0
    for batch in images.split(INFERENCE_BATCH):
        pixels = batch.float() / 255
        decoded = vae.decode(vae.encode(2 * pixels - 1).latent_dist.mean, return_dict=False)[0]
        total += F.l1_loss((decoded + 1) / 2, pixels).item() * len(batch)
    return total / len(images)


@torch.no_grad()
def latent_scale(vae: AutoencoderKL, images: Images, path: Path) -> float:
    """The factor that gives the latents of images unit standard deviation (Rombach et al. 2022, app. G).

    Args:
        path: in the scratch folder, for the latents: the order of a sum decides its last bits, so all are summed at once.
    """
    means = (vae.encode(2 * (batch.float() / 255) - 1).latent_dist.mean for batch in images.split(INFERENCE_BATCH))
    stored = store_rows(path, len(images), means, torch.device("cpu"), torch.float64)
    return 1 / stored.mapped().std(correction=0).item()


def train_autoencoder(images: Images, val: Images, p: Params, seed: int, scratch: Path, history: History) -> AutoencoderKL:
    """A trained autoencoder that knows its scale; `history` receives an epoch's loss and reconstruction error on `val`."""
    torch.manual_seed(seed)
    vae = build(p, images.shape[-1]).to(images.device)
    optimizer = torch.optim.Adam(vae.parameters(), p.vae_learning_rate, betas=(0.5, 0.9), fused=True)
    stateful = {"vae": vae, "optimizer": optimizer, "history": history}
    for epoch in epochs(p.vae_epochs, seed, NAME, scratch / "vae.pt", stateful):
        loss = train_epoch(vae, images, optimizer, epoch, p, generator(seed, NAME, epoch))
        history.add(model="vae", epoch=epoch + 1, loss=loss, val_error=reconstruction_error(vae.eval(), val))
    vae.eval().register_to_config(scaling_factor=latent_scale(vae, images, made_by(scratch / "means.npy", vae)))
    return vae
