"""Stable Diffusion directories of random weights, to draw or to in-paint, in the layout that diffusers publishes; made in a second."""

from pathlib import Path

import torch

from penumbra.models import vision  # noqa: F401

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel  # isort: skip
from diffusers import PNDMScheduler, StableDiffusionInpaintPipeline, StableDiffusionPipeline  # isort: skip
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer  # isort: skip

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
LENGTH = 16  # tokens of a prompt


def tokenizer() -> CLIPTokenizer:
    """CLIP's tokenizer with a vocabulary of letters: every letter is a token."""
    tokens = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: index for index, token in enumerate(tokens)}, merges=[], model_max_length=LENGTH)


def write_tiny_pipeline(directory: Path, image_size: int = 16, unet_channels: int = 4, prediction: str = "epsilon", seed: int = 0) -> Path:
    """Save a text-to-image pipeline below `directory`; its latents are half as wide as its images."""
    parts = _components(image_size, unet_channels, prediction, seed)
    return _save(StableDiffusionPipeline, parts, directory)


def write_tiny_inpainting(directory: Path, image_size: int = 16, prediction: str = "epsilon", seed: int = 0) -> Path:
    """Save an in-painting pipeline, with a PNDM scheduler like that of Stable Diffusion 2, below `directory`."""
    parts = _components(image_size, 9, prediction, seed)
    training = ("beta_start", "beta_end", "beta_schedule", "set_alpha_to_one", "steps_offset", "prediction_type")
    schedule = {key: parts["scheduler"].config[key] for key in training}
    return _save(StableDiffusionInpaintPipeline, parts | {"scheduler": PNDMScheduler(**schedule, skip_prk_steps=True)}, directory)


def _components(image_size: int, unet_channels: int, prediction: str, seed: int) -> dict:
    torch.manual_seed(seed)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=image_size,
        scaling_factor=0.5,
    )
    words = tokenizer()
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=32,
        projection_dim=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    unet = UNet2DConditionModel(
        sample_size=image_size // 2,
        in_channels=unet_channels,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=4,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
        prediction_type=prediction,
    )
    return {"vae": vae, "text_encoder": CLIPTextModel(text), "tokenizer": words, "unet": unet, "scheduler": scheduler}


def _save(kind: type, parts: dict, directory: Path) -> Path:
    absent = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    kind(**parts, **absent).save_pretrained(directory, safe_serialization=True)
    return directory
