"""A model of images and texts (CLIP, Radford et al. 2021): any directory or hub id in transformers' layout of a dual encoder.

The small model that `pretrain@clip` trains, CLIP ViT-B/16 and ViT-B/32, and encoders with a convolutional image tower load through the
same code.
"""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from penumbra.errors import PenumbraError
from penumbra.models import vision  # noqa: F401  transformers imports torchvision, which needs its door opened first
from penumbra.models.pretrained import load_part, load_weights, locate, quiet, set_origin

import transformers  # isort: skip
from transformers import (  # isort: skip
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

__all__ = ["CLIPConfig", "CLIPImageProcessor", "CLIPModel", "CLIPTokenizer", "Clip"]
PARTS = ("vision_model", "visual_projection", "get_text_features", "logit_scale")  # of a dual encoder in transformers
TEXTS = 256  # that are embedded at a time: a list of words may be long


class Clip(nn.Module):
    """Frozen image and text towers with the preprocessing of their files.

    Args:
        model: a `CLIPModel`, or another dual encoder with the same parts (`VisionTextDualEncoderModel`).
        processor: its image processor.
        tokenizer: of its texts.
        name: where they come from, for messages.

    Raises:
        PenumbraError: the model is no dual encoder, or the parts do not fit each other.
    """

    def __init__(self, model: PreTrainedModel, processor: CLIPImageProcessor, tokenizer: PreTrainedTokenizerBase, name: str = "CLIP"):
        super().__init__()
        self.model, self.processor, self.tokenizer, self.name = model, processor, tokenizer, name
        self._check()
        self.eval().requires_grad_(False)

    def _check(self) -> None:
        if not all(hasattr(self.model, part) for part in PARTS):
            raise PenumbraError(
                f"{self.name}: is a {type(self.model).__name__}, not a model of images and texts ({', '.join(PARTS)}). Name a CLIP model."
            )
        if not set(self.tokenizer.get_vocab()) - set(self.tokenizer.all_special_tokens):  # what transformers makes of absent files
            raise PenumbraError(f"{self.name}: its tokenizer has no words. Get tokenizer.json, or vocab.json and merges.txt.")
        known = self.model.config.text_config.vocab_size
        if len(self.tokenizer) > known:
            raise PenumbraError(f"{self.name}: its tokenizer has {len(self.tokenizer)} tokens, and its text encoder knows {known}.")
        size = getattr(self.model.config.vision_config, "image_size", None)  # none: the tower takes images of any size
        if size is not None:
            made = tuple(self.pixels(torch.zeros(1, 3, size, size)).shape[-2:])
            if made != (size, size):
                raise PenumbraError(
                    f"{self.name}: preprocessor_config.json makes images of {made[0]} x {made[1]} pixels, and the network takes "
                    f"{size} x {size}."
                )

    @classmethod
    def load(cls, source: str | os.PathLike, device: torch.device | str = "cpu") -> Self:
        """Load a directory or a hub id (`name` or `name@revision`); safetensors only.

        On a GPU the towers compute in bfloat16.

        Raises:
            PenumbraError: a part is missing or cannot be read, or does not fit the others.
        """
        local = Path(source).is_dir()
        name, options = locate(source)
        options["trust_remote_code"] = False
        with quiet(transformers.utils.logging) if local else nullcontext():  # a download may show its progress
            folder = Path(source) if local else None
            model = load_weights(AutoModel, name, str(source), "model of images and texts", folder, dtype=torch.float32, **options)
            processor = load_part(AutoImageProcessor, name, f"{source}/preprocessor_config.json", "image processor", **options)
            tokenizer = load_part(AutoTokenizer, name, f"{source}/tokenizer.json", "tokenizer", **options)
        clip = cls(model, processor, tokenizer, str(source)).to(device)
        if torch.device(device).type == "cuda":
            for tower in clip.model.children():  # and not logit_scale, which would lose 1 %
                tower.to(torch.bfloat16)
        return clip

    def save_pretrained(self, directory: str | os.PathLike, provenance: dict | None = None) -> None:
        """Write config.json, model.safetensors, preprocessor_config.json and the tokenizer's files, as CLIP is published.

        The bytes depend on the weights and on how they were made, `provenance` (penumbra.json): where they were loaded from is left out.
        """
        self.tokenizer("", padding=False)  # forgets the last call's padding, which would be written too
        with quiet(transformers.utils.logging):
            for part in (self.model, self.processor, self.tokenizer):
                part.save_pretrained(directory)
        set_origin(Path(directory), provenance)

    @property
    def device(self) -> torch.device:
        """Where the towers compute."""
        return self.model.logit_scale.device

    @property
    def logit_scale(self) -> float:
        """1 / temperature of the cosines: exp of the learned parameter, about 100 for CLIP."""
        return self.model.logit_scale.float().exp().item()

    @property
    def projection_dim(self) -> int:
        """D, the dimensions that images and texts share."""
        return self.model.visual_projection.out_features

    @property
    def text_length(self) -> int:
        """Tokens that the text encoder reads at most, with those for start and end."""
        return min(self.model.config.text_config.max_position_embeddings, self.tokenizer.model_max_length)

    def pixels(self, images: Tensor) -> Tensor:
        """What the network is shown [B, 3, S, S] of images [B, 3, H, W] in [0, 1]: resized, cropped and normalised by the processor.

        The processor resizes 8-bit images, so these are rounded to 8 bits first; those read from files lose nothing.
        """
        eight_bit = (images.clamp(0, 1) * 255).round().byte()
        return self.processor(images=eight_bit, device=images.device, disable_grouping=False, return_tensors="pt")["pixel_values"]

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Inputs of the text encoder (token ids and masks [N, L]), each padded to the longest length: no row depends on the others.

        Raises:
            PenumbraError: a text is longer than that.
        """
        for text, ids in zip(texts, self.tokenizer(list(texts), verbose=False).input_ids, strict=True):
            if len(ids) > self.text_length:
                raise PenumbraError(
                    f"text {text!r}: has {len(ids)} tokens; the text encoder of {self.name} reads {self.text_length}. Shorten it."
                )
        batch = self.tokenizer(list(texts), padding="max_length", max_length=self.text_length, return_tensors="pt")
        return {name: tensor.to(self.device) for name, tensor in batch.items()}

    def image_features(self, pixels: Tensor) -> Tensor:
        """Raw features [B, D], float32, of preprocessed images [B, 3, S, S]; differentiable."""
        pooled = self.model.vision_model(pixel_values=pixels.to(self.model.visual_projection.weight.dtype)).pooler_output
        return self.model.visual_projection(pooled.flatten(1)).float()  # a convolutional tower pools to [B, C, 1, 1]

    def text_features(self, tokens: dict[str, Tensor]) -> Tensor:
        """Raw features [N, D], float32, of tokenised texts; differentiable."""
        return self.model.get_text_features(**tokens).pooler_output.float()

    @torch.no_grad()
    def embed_images(self, images: Tensor) -> Tensor:
        """Raw, un-normalised features [B, D], float32, of images [B, 3, H, W] in [0, 1].

        Raises:
            PenumbraError: one is not finite.
        """
        return self._finite(self.image_features(self.pixels(images.to(self.device))), "images")

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Raw, un-normalised features [N, D], float32, of N texts.

        Raises:
            PenumbraError: a text is too long, or its features are not finite.
        """
        tokens = self.tokens(texts)
        starts = range(0, len(texts), TEXTS)
        parts = [self.text_features({name: tensor[at : at + TEXTS] for name, tensor in tokens.items()}) for at in starts]
        return self._finite(torch.cat(parts), "texts")

    def _finite(self, features: Tensor, what: str) -> Tensor:
        if not features.isfinite().all():
            raise PenumbraError(
                f"{self.name}: its features of {what} are NaN or infinite. Get the model again, or train it with a lower learning_rate."
            )
        return features
