"""A LlavaForConditionalGeneration directory of random weights, in the layout that transformers publishes; made in a second."""

from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from penumbra.models import vision  # noqa: F401

from transformers import CLIPImageProcessor, CLIPVisionConfig, LlamaConfig, LlavaConfig  # isort: skip
from transformers import LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast  # isort: skip

CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ,.:;?-\n"
SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]
TEMPLATE = (
    "{% for message in messages %}Q {% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}"
    "{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %} A {% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """Every character is a token."""
    words = {token: index for index, token in enumerate([*SPECIAL, *CHARACTERS])}
    tokens = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokens.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokens,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )


def write_tiny_llava(directory: Path, template: str | None = TEMPLATE, seed: int = 0) -> Path:
    """Save model and processor into `directory`; an image is four tokens."""
    torch.manual_seed(seed)
    image = CLIPVisionConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4)
    text = LlamaConfig(
        vocab_size=len(SPECIAL) + len(CHARACTERS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=3,
        initializer_range=0.5,  # large enough for the image and the question to matter
    )
    model = LlavaForConditionalGeneration(LlavaConfig(vision_config=image, text_config=text, image_token_id=SPECIAL.index("<image>")))
    model.generation_config.temperature, model.generation_config.do_sample = 0.7, True  # what is published may sample
    model.save_pretrained(directory)
    LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8}),
        tokenizer(),
        patch_size=4,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(directory)
    return directory
