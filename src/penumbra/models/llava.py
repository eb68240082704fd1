"""A model that answers questions about images (LLaVA, Liu et al. 2023): any directory or hub id in transformers' layout."""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from penumbra.errors import PenumbraError
from penumbra.models import vision  # noqa: F401  transformers imports torchvision, which needs its door opened first
from penumbra.models.pretrained import load_part, load_weights, locate, quiet

import transformers  # isort: skip
from transformers import AutoConfig, AutoProcessor, GenerationConfig, LlavaForConditionalGeneration, LlavaProcessor  # isort: skip


class Llava:
    """A frozen LLaVA model with its processor.

    Args:
        model: the network.
        processor: of its images and texts.
        name: where they come from, for messages.

    Raises:
        PenumbraError: the processor is another model's, or does not say how many tokens an image takes.
    """

    def __init__(self, model: LlavaForConditionalGeneration, processor: LlavaProcessor, name: str = "LLaVA"):
        self.model, self.processor, self.name = model.eval().requires_grad_(False), processor, name
        if not isinstance(processor, LlavaProcessor):
            raise PenumbraError(f"{name}: its processor is a {type(processor).__name__}, not LLaVA's. Get the model again.")
        if processor.patch_size is None:
            raise PenumbraError(f"{name}: processor_config.json has no patch_size. Get a newer version of the model, or add it.")
        tokenizer, published = processor.tokenizer, model.generation_config
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        model.generation_config = GenerationConfig(  # greedy: what was published may sample, or punish repetitions
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id if published.eos_token_id is None else published.eos_token_id,
        )

    @classmethod
    def load(cls, source: str | os.PathLike, device: torch.device | str = "cpu") -> Self:
        """Load a directory or a hub id (`name` or `name@revision`); safetensors only.

        On a GPU it computes in bfloat16.

        Raises:
            PenumbraError: a part is missing or cannot be read, or the directory holds another kind of model.
        """
        local = Path(source).is_dir()
        name, options = locate(source)
        options["trust_remote_code"] = False
        dtype = torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32
        with quiet(transformers.utils.logging) if local else nullcontext():  # a download may show its progress
            kind = load_part(AutoConfig, name, f"{source}/config.json", "LLaVA model", **options).model_type
            if kind != "llava":  # others would load, with layers that mean something else
                raise PenumbraError(
                    f"{source}: is a model of type {kind!r}, not 'llava'. Name a LLaVA model, such as llava-hf/llava-1.5-7b-hf."
                )
            folder = Path(source) if local else None
            model = load_weights(LlavaForConditionalGeneration, name, str(source), "LLaVA model", folder, dtype=dtype, **options)
            processor = load_part(AutoProcessor, name, f"{source}/processor_config.json", "LLaVA processor", **options)
        return cls(model.to(device), processor, str(source))

    def prompt(self, question: str) -> str:
        """The question about one image in the form that the model was tuned on: its chat template, else that of LLaVA 1.5."""
        if not self.processor.chat_template:
            return f"USER: {self.processor.image_token}\n{question} ASSISTANT:"
        content = [{"type": "image"}, {"type": "text", "text": question}]
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)

    @torch.no_grad()
    def answer(self, pixels: Tensor, questions: Sequence[str], tokens: int) -> list[str]:
        """The most probable next token again and again, until the answer ends.

        Args:
            pixels: uint8 [B, 3, H, W].
            questions: [B], one about each image.
            tokens: most of an answer.

        Returns:
            B answers, without the questions and special tokens; some may be empty.
        """
        texts = [self.prompt(question) for question in questions]
        # the question stands beside the answer, and the padding on its far side
        inputs = self.processor(images=list(pixels), text=texts, padding=True, padding_side="left", return_tensors="pt")
        inputs = inputs.to(self.model.device, self.model.dtype)
        made = self.model.generate(**inputs, max_new_tokens=tokens)
        answers = self.processor.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return [answer.strip() for answer in answers]
