"""A text-to-image latent diffusion pipeline taken apart: any directory or hub id in the layout of diffusers' StableDiffusionPipeline.

The small pipeline that `pretrain@diffusion` trains and Stable Diffusion load through the same code.
"""

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from penumbra.elementary import root
from penumbra.errors import PenumbraError
from penumbra.models import vision  # noqa: F401  transformers and diffusers import torchvision, which needs its door opened first
from penumbra.models.pretrained import load_part, load_weights, locate, quiet, set_origin
from penumbra.schedules import Levels

import diffusers  # isort: skip
import transformers  # isort: skip
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel  # isort: skip
from transformers import CLIPTextModel, CLIPTokenizer  # isort: skip

COMPONENTS = {
    "vae": AutoencoderKL,
    "unet": UNet2DConditionModel,
    "text_encoder": CLIPTextModel,
    "tokenizer": CLIPTokenizer,
    "scheduler": DDIMScheduler,
}
PREDICTIONS = ("epsilon", "v_prediction")
TEXTS = 256  # that are embedded at a time: a list of words may be long
LOGGERS = (diffusers.utils.logging, transformers.utils.logging)


class LatentDiffusion(nn.Module):
    """Frozen autoencoder, UNet and text encoder with their schedule; gradients flow through all of them to their inputs.

    Args:
        vae, unet, text_encoder, tokenizer, scheduler: the components; the scheduler is only asked for its training schedule.
        name: where they come from, for messages.

    Raises:
        PenumbraError: the components do not fit each other (channels, text width, vocabulary), or the UNet predicts something unknown.
    """

    PIPELINE = "StableDiffusionPipeline"  # the class of diffusers that reads what `save` writes
    OTHER_UNET = "Name a text-to-image pipeline (an in-painting one has 9)."

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
        self._check()
        self.eval().requires_grad_(False)

    def _check(self) -> None:
        vae, unet, name = self.vae.config, self.unet.config, self.name
        if unet.in_channels != self.input_channels(vae.latent_channels):
            raise PenumbraError(
                f"{name}/unet: takes {unet.in_channels} channels, but the latents of {name}/vae have {vae.latent_channels}. "
                f"{self.OTHER_UNET}"
            )
        if unet.out_channels != vae.latent_channels:
            raise PenumbraError(
                f"{name}/unet: gives {unet.out_channels} channels for {vae.latent_channels}. Name one that predicts the mean alone."
            )
        if (vae.in_channels, vae.out_channels) != (3, 3):
            raise PenumbraError(f"{name}/vae: turns images of {vae.in_channels} channels into {vae.out_channels}; both must be 3.")
        width = self.text_encoder.config.hidden_size
        if unet.cross_attention_dim != width:
            raise PenumbraError(
                f"{name}/unet: attends to texts of width {unet.cross_attention_dim}, but {name}/text_encoder gives {width}. "
                "Name a pipeline with one CLIP text encoder (Stable Diffusion 1 or 2)."
            )
        if len(self.tokenizer) > self.text_encoder.config.vocab_size:
            raise PenumbraError(
                f"{name}/tokenizer: has {len(self.tokenizer)} tokens, and {name}/text_encoder knows {self.text_encoder.config.vocab_size}."
            )
        if self.scheduler.config.prediction_type not in PREDICTIONS:
            raise PenumbraError(
                f"{name}/scheduler: prediction_type = {self.scheduler.config.prediction_type!r}; must be one of {', '.join(PREDICTIONS)}."
            )
        if not self.scheduler.alphas_cumprod[-1] > 0:
            raise PenumbraError(
                f"{name}/scheduler: nothing of an image is left at its noisiest level (rescale_betas_zero_snr), so predicted noise does "
                "not tell the clean image there. Name a pipeline whose scheduler does not rescale its betas."
            )

    @staticmethod
    def input_channels(latents: int) -> int:
        """Channels that the UNet takes for latents of so many."""
        return latents

    @classmethod
    def load(cls, source: str | os.PathLike, device: torch.device | str = "cpu") -> Self:
        """Load a pipeline directory or a hub id (`name` or `name@revision`); safetensors only.

        On a GPU the UNet and the text encoder compute in bfloat16 and the autoencoder in float32.

        Raises:
            PenumbraError: a component is missing or cannot be read, or does not fit the others; names it.
        """
        with quiet(*LOGGERS) if Path(source).is_dir() else nullcontext():  # a download may show its progress
            parts = {part: _load_component(source, part) for part in COMPONENTS}
        model = cls(**parts, name=str(source)).to(device)
        if torch.device(device).type == "cuda":
            model.unet.to(torch.bfloat16)
            model.text_encoder.to(torch.bfloat16)
        return model

    def save_pretrained(self, directory: str | os.PathLike, provenance: dict | None = None) -> None:
        """Write the components and model_index.json into `directory`, as its class in diffusers does.

        The bytes depend on the weights and on how they were made, `provenance` (penumbra.json): where they were loaded from is left out.
        """
        directory = Path(directory)
        self.tokenizer.backend_tokenizer.no_padding()  # the last call's, which would be written too
        with quiet(*LOGGERS):
            for part in COMPONENTS:
                getattr(self, part).save_pretrained(directory / part)
        set_origin(directory, provenance)
        index = {part: [kind.__module__.split(".")[0], kind.__name__] for part, kind in COMPONENTS.items()}
        absent = {part: [None, None] for part in ("feature_extractor", "image_encoder", "safety_checker")}
        stamp = {"_class_name": self.PIPELINE, "_diffusers_version": diffusers.__version__, "requires_safety_checker": False}
        (directory / "model_index.json").write_text(json.dumps(stamp | index | absent, indent=2, sort_keys=True) + "\n")

    @property
    def device(self) -> torch.device:
        """Where the UNet computes."""
        return next(self.unet.parameters()).device

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """[C, h, w] of the latents that the UNet was trained on.

        Raises:
            PenumbraError: the UNet does not say it.
        """
        size = self.unet.config.sample_size
        if size is None:
            raise PenumbraError(f"{self.name}/unet: config.json has no sample_size, so the size of its images is not known. Add it.")
        return (self.unet.config.out_channels, size, size) if isinstance(size, int) else (self.unet.config.out_channels, *size)

    @property
    def image_size(self) -> tuple[int, int]:
        """[H, W] in pixels of the images that it draws."""
        return self.latent_shape[1] * self.factor, self.latent_shape[2] * self.factor

    @property
    def factor(self) -> int:
        """Pixels of an image for one of its latents, along each side."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def checkpoint_gradients(self) -> None:
        """Trade time for memory in backward passes of the UNet: keep the inputs of its blocks only, and compute the blocks again."""
        self.unet.enable_gradient_checkpointing()

    def levels(self, steps: int) -> Levels:
        """The DDIM levels of the scheduler's own schedule (its spacing, offset and final alpha).

        Raises:
            PenumbraError: more steps than the schedule has.
        """
        total = self.scheduler.config.num_train_timesteps
        if not 1 <= steps <= total:
            raise PenumbraError(f"steps = {steps}: must be in 1..{total}, the schedule of {self.name}.")
        return ddim_levels(self.scheduler, steps)

    def tokens(self, prompts: Sequence[str]) -> Tensor:
        """Token ids [B, L], padded to the length that the text encoder was trained on.

        Raises:
            PenumbraError: a prompt is longer than that.
        """
        limit = self.text_encoder.config.max_position_embeddings
        for prompt in dict.fromkeys(prompts):
            length = len(self.tokenizer(prompt, verbose=False).input_ids)
            if length > limit:
                raise PenumbraError(f"prompt {prompt!r}: has {length} tokens; the text encoder of {self.name} reads {limit}. Shorten it.")
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
        return torch.cat([self.text_encoder(ids).pooler_output.float() for ids in self.tokens(prompts).split(TEXTS)])

    def eps(self, z: Tensor, t: int | Tensor, condition: Tensor) -> Tensor:
        """Predicted noise [B, C, h, w], float32, of latents z [B, C, h, w].

        Args:
            t: index of the training schedule, one for all or [B].
            condition: text conditions [B, L, D].
        """
        return self._eps(z, z, t, condition)

    def _eps(self, inputs: Tensor, z: Tensor, t: int | Tensor, condition: Tensor) -> Tensor:
        """Predicted noise of latents z by a UNet that is shown `inputs` [B, input channels, h, w]."""
        dtype = self.unet.dtype
        t = torch.as_tensor(t, device=z.device).expand(len(z))
        predicted = self.unet(inputs.to(dtype), t, condition.to(dtype), return_dict=False)[0].float()
        if self.scheduler.config.prediction_type == "v_prediction":
            abar = self.scheduler.alphas_cumprod.to(z.device)[t].view(-1, 1, 1, 1)
            return root(abar) * predicted + root(1 - abar) * z.float()
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


def _load_component(source: str | os.PathLike, part: str) -> Any:
    """One component in float32; every one of its weights must be in the file."""
    kind, folder = COMPONENTS[part], Path(source) / part
    local, (name, options) = Path(source).is_dir(), locate(source)
    if local and not folder.is_dir():
        raise PenumbraError(f"{source}: has no {part}/. A pipeline directory holds {', '.join(COMPONENTS)}.")
    if not issubclass(kind, nn.Module):
        return load_part(kind, name, f"{source}/{part}", kind.__name__, subfolder=part, **options)
    precision = {"dtype": torch.float32} if part == "text_encoder" else {"torch_dtype": torch.float32, "low_cpu_mem_usage": False}
    files = folder if local else None
    return load_weights(kind, name, f"{source}/{part}", kind.__name__, files, subfolder=part, **options, **precision)


def ddim_levels(scheduler: DDIMScheduler, steps: int) -> Levels:
    """The levels that a DDIM scheduler visits in that many steps."""
    scheduler = DDIMScheduler.from_config(scheduler.config)
    scheduler.set_timesteps(steps)
    stride = scheduler.config.num_train_timesteps // steps
    return Levels.ddim(scheduler.timesteps.tolist(), stride, scheduler.alphas_cumprod, float(scheduler.final_alpha_cumprod))
