"""Training of the UNet of an in-painting pipeline: that of a text-to-image pipeline, which learns to see a mask and what is beside it.

The new channels start with zero weights, so that the first prediction is that of the text-to-image UNet, as for Stable
Diffusion's in-painting models (Rombach et al. 2022). Autoencoder and text encoder stay as they are.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from penumbra.artifacts.rows import StoredRows
from penumbra.guidance.diffusion import noise_error
from penumbra.models.inpainting import InpaintingDiffusion
from penumbra.models.latent import LatentDiffusion, UNet2DConditionModel
from penumbra.models.rdm import MovingAverage
from penumbra.noise import generator
from penumbra.pretrain.images import Images
from penumbra.pretrain.prediction import train_pass, validation_pass
from penumbra.stage import Params
from penumbra.training import History, epochs

NAME = "pretrain/inpainting"
BOX = (0.25, 0.75)  # sides of a box mask, in sides of the image


@dataclass(frozen=True)
class Pictures:
    """Training data of a painter.

    Attributes:
        images: uint8 [N, 3, S, S], on the disk.
        latents: of the images, scaled [N, C, h, w], on the disk.
        captions: [N], row of `conditions` of each image.
        conditions: text conditions [K, V, L, D] of K captions in V wordings.
    """

    images: Images
    latents: StoredRows
    captions: Tensor
    conditions: Tensor

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Draw:
    """What is random in the loss of B images.

    Attributes:
        masks: [B, 1, S, S], 1 where it shall paint.
        wordings: [B], of the caption.
        dropped: [B], true where the caption is left out.
        noise: standard normal like the latents.
    """

    masks: Tensor
    wordings: Tensor
    dropped: Tensor
    noise: Tensor


def with_mask_channels(unet: UNet2DConditionModel, channels: int) -> UNet2DConditionModel:
    """A text-to-image UNet that takes further input channels, which it does not heed yet."""
    wider = UNet2DConditionModel.from_config(unet.config, in_channels=channels).to(unet.device)
    state = unet.state_dict()
    weight = torch.zeros_like(wider.conv_in.weight)
    weight[:, : unet.config.in_channels] = state["conv_in.weight"]
    wider.load_state_dict(state | {"conv_in.weight": weight})
    return wider


def untrained(start: LatentDiffusion) -> InpaintingDiffusion:
    """The in-painting pipeline that paints whatever `start` draws."""
    unet = with_mask_channels(start.unet, InpaintingDiffusion.input_channels(start.vae.config.latent_channels))
    parts = start.vae, unet, start.text_encoder, start.tokenizer, start.scheduler
    return InpaintingDiffusion(*parts, "pretrain.inpainting").to(start.device)


def random_masks(count: int, size: int, whole: float, draws: torch.Generator) -> Tensor:
    """Masks [count, 1, size, size] with a box of ones, or, a share `whole` of them, ones all over.

    Sides and place of a box are uniform; a box lies in the image.
    """
    low, high = (round(share * size) for share in BOX)
    sides = torch.randint(low, high + 1, (count, 2), generator=draws)
    start = (torch.rand(count, 2, generator=draws) * (size - sides + 1)).long()
    at = torch.arange(size)
    rows, columns = ((at >= start[:, axis, None]) & (at < (start + sides)[:, axis, None]) for axis in (0, 1))
    everything = torch.rand(count, 1, 1, generator=draws) < whole
    return ((rows[:, :, None] & columns[:, None, :]) | everything)[:, None].float()


def draw_for(pictures: Pictures, count: int, p: Params, draws: torch.Generator) -> Draw:
    """Random masks, wordings and noise for `count` images."""
    return Draw(
        random_masks(count, pictures.images.shape[-1], p.whole, draws),
        torch.randint(pictures.conditions.shape[1], (count,), generator=draws),
        torch.rand(count, generator=draws) < p.caption_dropout,
        torch.randn(count, *pictures.latents.shape[1:], generator=draws),
    )


def painting_loss(model: InpaintingDiffusion, pictures: Pictures, rows: Tensor, t: Tensor, draw: Draw, empty: Tensor) -> Tensor:
    """`noise_error` of a prediction from noisy latents, mask and masked latents.

    Args:
        rows: of the pictures [B].
        t: steps [B] of the training schedule.
        empty: text condition [L, D] of the prompt "", in place of dropped captions.
    """
    device = pictures.latents.device
    mask, masked = model.cover(pictures.images[rows].float() / 255, draw.masks.to(device))
    condition = torch.where(draw.dropped.view(-1, 1, 1).to(device), empty, pictures.conditions[pictures.captions[rows], draw.wordings])
    noise, abar = draw.noise.to(device), model.scheduler.alphas_cumprod[t].to(device)
    return noise_error(lambda z_t: model.eps(z_t, t.to(device), condition, mask, masked), pictures.latents[rows], abar, noise)


def train_epoch(
    model: InpaintingDiffusion,
    average: MovingAverage,
    pictures: Pictures,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    p: Params,
    draws: torch.Generator,
) -> float:
    """One pass, t uniform; returns the mean loss."""
    empty = model.embed([""])[0]

    def loss(rows: Tensor, t: Tensor) -> Tensor:
        return painting_loss(model, pictures, rows, t, draw_for(pictures, len(rows), p, draws), empty)

    levels = len(model.scheduler.alphas_cumprod)
    return train_pass(loss, len(pictures), levels, optimizer, lambda: average.update(model.unet), epoch, p, draws)


@torch.no_grad()
def validation_loss(model: InpaintingDiffusion, pictures: Pictures, p: Params, draws: torch.Generator) -> float:
    """Loss of `validation_pass`, each image with masks and a wording of its own."""
    empty = model.embed([""])[0]

    def loss(rows: Tensor, t: Tensor) -> Tensor:
        return painting_loss(model, pictures, rows, t, draw_for(pictures, len(rows), p, draws), empty)

    return validation_pass(loss, len(pictures), len(model.scheduler.alphas_cumprod), p.batch_size, draws)


def train_painter(
    model: InpaintingDiffusion, train: Pictures, val: Pictures, p: Params, seed: int, scratch: Path, history: History
) -> None:
    """Train the UNet of `model` in place; it ends with the averaged weights.

    `history` receives each epoch's loss, and the validation loss of the averages every `validate_every` epochs.
    """
    learner = InpaintingDiffusion(model.vae, copy.deepcopy(model.unet), model.text_encoder, model.tokenizer, model.scheduler)
    learner.unet.train().requires_grad_(True)
    average = MovingAverage(learner.unet, p.ema_decay).to(model.device)
    optimizer = torch.optim.AdamW(learner.unet.parameters(), p.learning_rate, weight_decay=p.weight_decay, fused=True)
    stateful = {"unet": learner.unet, "average": average, "optimizer": optimizer, "history": history}
    for epoch in epochs(p.epochs, seed, NAME, scratch / "unet.pt", stateful):
        row = {"epoch": epoch + 1, "loss": train_epoch(learner, average, train, optimizer, epoch, p, generator(seed, NAME, epoch))}
        if (epoch + 1) % p.validate_every == 0 or epoch + 1 == p.epochs:
            average.copy_to(model.unet)
            row["val_loss"] = validation_loss(model, val, p, generator(seed, NAME, "validation"))
        history.add(**row)
