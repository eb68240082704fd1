"""CLIP directories of random weights in the layout that transformers publishes; made in a second."""

from pathlib import Path

import torch

from penumbra.models import vision  # noqa: F401
from tiny_pipeline import LENGTH, tokenizer

from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig, CLIPTextModel  # isort: skip
from transformers import ResNetConfig, ResNetModel, VisionTextDualEncoderConfig, VisionTextDualEncoderModel  # isort: skip

SIZE = 16  # pixels that the image tower sees
DIMENSION = 8  # of the features


def _text() -> dict:
    words = tokenizer()
    return {
        "vocab_size": len(words),
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": LENGTH,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }


def _write(directory: Path, model: torch.nn.Module, size: int) -> Path:
    processor = CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    for part in (model, processor, tokenizer()):
        part.save_pretrained(directory)
    return directory


def write_tiny_clip(directory: Path, seed: int = 0) -> Path:
    """A CLIPModel with a vision transformer and its processor; every letter of a text is a token, at most LENGTH - 2."""
    torch.manual_seed(seed)
    image = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": SIZE}
    config = CLIPConfig(text_config=_text(), vision_config=image | {"patch_size": 4}, projection_dim=DIMENSION)
    return _write(directory, CLIPModel(config), SIZE)


def write_tiny_dual_encoder(directory: Path, seed: int = 0) -> Path:
    """A VisionTextDualEncoderModel with a ResNet that sees images of any size."""
    torch.manual_seed(seed)
    image = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", hidden_size=16)
    text = CLIPTextConfig(**_text())
    config = VisionTextDualEncoderConfig.from_vision_text_configs(image, text, projection_dim=DIMENSION)
    return _write(directory, VisionTextDualEncoderModel(config, ResNetModel(image), CLIPTextModel(text)), 2 * SIZE)
