"""A text-to-image latent diffusion pipeline taken apart: any directory or hub id in the layout of diffusers' StableDiffusionPipeline.

The small pipeline that `pretrain@diffusion` trains and Stable Diffusion load through the same code.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from penumbra.errors import PenumbraError
from penumbra.models import vision  # noqa: F401  transformers and diffusers import torchvision, which needs its door opened first

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel  # isort: skip
from transformers import CLIPTextModel, CLIPTokenizer  # isort: skip

COMPONENTS = {
    "vae": AutoencoderKL,
    "unet": UNet2DConditionModel,
    "text_encoder": CLIPTextModel,
    "tokenizer": CLIPTokenizer,
    "scheduler": DDIMScheduler,
}


@dataclass(frozen=True)
class Grid:
    """The T noise levels that a sampler visits, from noise to clean.

    Attributes:
        timesteps: indices of the training schedule, descending.
        abar: cumulative alpha at each of them, float64 values in (0, 1).
        abar_prev: cumulative alpha at the next cleaner one; that of the last is the scheduler's final one.
    """

    timesteps: tuple[int, ...]
    abar: tuple[float, ...]
    abar_prev: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.timesteps)


class LatentDiffusion(nn.Module):
    """Frozen autoencoder, UNet and text encoder with their schedule; gradients flow through all of them to their inputs.

    Args:
        vae, unet, text_encoder, tokenizer, scheduler: the components; the scheduler is only asked for its training schedule.
        name: where they come from, for messages.

    Raises:
        PenumbraError: the UNet does not take as many channels as the autoencoder's latents have.
    """

    def __init__(
        self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        scheduler: DDIMScheduler,
        name: str = "pipeline",
    ):
        super().__init__()
        self.vae, self.unet, self.text_encoder = vae, unet, text_encoder
        self.tokenizer, self.scheduler, self.name = tokenizer, scheduler, name
        wanted, given = vae.config.latent_channels, unet.config.in_channels
        if wanted != given:
            raise PenumbraError(
                f"{name}/unet: takes {given} channels, but the latents of {name}/vae have {wanted}. "
                "Name a text-to-image pipeline (an in-painting one has 9)."
            )
        self.eval().requires_grad_(False)

    @classmethod
    def load(cls, source: str | os.PathLike, device: torch.device | str = "cpu") -> Self:
        """Load a pipeline directory or a hub id; safetensors only.

        On a GPU the UNet and the text encoder compute in bfloat16 and the autoencoder in float32.

        Raises:
            PenumbraError: a component is missing or cannot be read; names it.
        """
        parts: dict[str, Any] = {}
        local = Path(source).is_dir()
        for part, kind in COMPONENTS.items():
            if local and not (Path(source) / part).is_dir():
                raise PenumbraError(f"{source}: has no {part}/. A pipeline directory holds {', '.join(COMPONENTS)}.")
            weights = {"use_safetensors": True} if part in ("vae", "unet", "text_encoder") else {}
            try:
                parts[part] = kind.from_pretrained(str(source), subfolder=part, local_files_only=local, **weights)
            except Exception as error:
                reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                raise PenumbraError(f"{source}/{part}: cannot be loaded as a {kind.__name__} ({reason}).") from error
        model = cls(**parts, name=str(source)).to(device)
        if torch.device(device).type == "cuda":
            model.unet.to(torch.bfloat16)
            model.text_encoder.to(torch.bfloat16)
        return model

    @property
    def device(self) -> torch.device:
        """Where the UNet computes."""
        return next(self.unet.parameters()).device

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """[C, h, w] of the latents that the UNet was trained on."""
        size = self.unet.config.sample_size
        return (self.unet.config.in_channels, size, size) if isinstance(size, int) else (self.unet.config.in_channels, *size)

    def checkpoint_gradients(self) -> None:
        """Trade time for memory in backward passes: keep block inputs only, and compute blocks again."""
        self.unet.enable_gradient_checkpointing()
        self.vae.enable_gradient_checkpointing()

    def grid(self, steps: int) -> Grid:
        """The DDIM levels of the scheduler's own schedule (its spacing, offset and final alpha).

        Raises:
            PenumbraError: more steps than the schedule has.
        """
        total = self.scheduler.config.num_train_timesteps
        if not 1 <= steps <= total:
            raise PenumbraError(f"steps = {steps}: must be in 1..{total}, the schedule of {self.name}.")
        return ddim_grid(self.scheduler, steps)

    def tokens(self, prompts: Sequence[str]) -> Tensor:
        """Token ids [B, L], padded to the length that the text encoder was trained on.

        Raises:
            PenumbraError: a prompt is longer than that.
        """
        limit = self.text_encoder.config.max_position_embeddings
        for prompt in dict.fromkeys(prompts):
            length = len(self.tokenizer(prompt).input_ids)
            if length > limit:
                raise PenumbraError(f"prompt {prompt!r}: has {length} tokens, and the text encoder of {self.name} reads {limit}. Shorten it.")
        batch = self.tokenizer(list(prompts), padding="max_length", max_length=limit, return_tensors="pt")
        return batch.input_ids.to(self.device)

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> Tensor:
        """Text conditions [B, L, D] of B prompts; "" is the unconditional one."""
        unique = list(dict.fromkeys(prompts))
        embedded = self.text_encoder(self.tokens(unique)).last_hidden_state
        return embedded[[unique.index(prompt) for prompt in prompts]]

    @torch.no_grad()
    def embed_pooled(self, prompts: Sequence[str]) -> Tensor:
        """One vector [B, D] for each prompt, at its end-of-text token, as CLIP compares texts."""
        return self.text_encoder(self.tokens(prompts)).pooler_output.float()

    def eps(self, z: Tensor, t: int | Tensor, condition: Tensor) -> Tensor:
        """Predicted noise [B, C, h, w], float32, of latents z [B, C, h, w] at training step t (one, or one each) under conditions [B, L, D]."""
        dtype = self.unet.dtype
        t = torch.as_tensor(t, device=z.device).expand(len(z))
        predicted = self.unet(z.to(dtype), t, condition.to(dtype), return_dict=False)[0].float()
        if self.scheduler.config.prediction_type == "v_prediction":
            abar = self.scheduler.alphas_cumprod.to(z.device)[t].view(-1, 1, 1, 1)
            return abar.sqrt() * predicted + (1 - abar).sqrt() * z.float()
        return predicted

    @torch.no_grad()
    def encode(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Latents [B, C, h, w], scaled for the UNet, of images [B, 3, H, W] in [0, 1].

        Args:
            images: of any size that the autoencoder can halve.
            noise: standard normal like the latents for a sample of the posterior; None for its mean.
        """
        posterior = self.vae.encode(2 * images.to(self.vae.dtype) - 1).latent_dist
        latents = posterior.mean if noise is None else posterior.mean + posterior.std * noise.to(posterior.mean)
        return (latents - (self.vae.config.shift_factor or 0)) * self.vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        """Images [B, 3, H, W], about [0, 1] and not clamped, of scaled latents; differentiable."""
        latents = latents.to(self.vae.dtype) / self.vae.config.scaling_factor + (self.vae.config.shift_factor or 0)
        return (self.vae.decode(latents, return_dict=False)[0] + 1) / 2


def ddim_grid(scheduler: DDIMScheduler, steps: int) -> Grid:
    """The levels that a DDIM scheduler visits in that many steps."""
    scheduler = DDIMScheduler.from_config(scheduler.config)
    scheduler.set_timesteps(steps)
    timesteps = tuple(int(t) for t in scheduler.timesteps)
    stride = scheduler.config.num_train_timesteps // steps
    abar = scheduler.alphas_cumprod.double().tolist()
    final = float(scheduler.final_alpha_cumprod)
    return Grid(timesteps, tuple(abar[t] for t in timesteps), tuple(abar[t - stride] if t >= stride else final for t in timesteps))
