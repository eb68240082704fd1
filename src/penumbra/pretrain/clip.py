"""pretrain@clip: a small CLIP trained on captioned images, in transformers' layout; or the import of a published one."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.captions import concepts, read_captions
from penumbra.artifacts.images import read_table
from penumbra.augmentation import shifted
from penumbra.models.clip import Clip, CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer
from penumbra.noise import generator
from penumbra.pretrain.captions import build_tokenizer
from penumbra.pretrain.images import Images, read_images
from penumbra.pretrain.output import write_model
from penumbra.runtime import setup
from penumbra.stage import Params, Stage
from penumbra.training import History, descend, epochs, summed, warmup_cosine

NAME = "pretrain/clip"
PROMPT = "a photo of {}"  # of the zero-shot validation
COLDEST = 100.0  # largest 1 / temperature, as CLIP clips it
INFERENCE_BATCH = 256


@dataclass(frozen=True)
class Captioned:
    """uint8 images [N, 3, H, W] on the disk, the caption of each [N] and the token ids [C, V, L] of the C captions' V wordings."""

    images: Images
    captions: Tensor
    tokens: Tensor


def build(p: Params, tokenizer: CLIPTokenizer) -> Clip:
    """A fresh model of the sizes in the parameters, with CLIP's own preprocessing."""
    image = {"hidden_size": p.width, "num_hidden_layers": p.layers, "num_attention_heads": p.heads}
    text = {"hidden_size": p.text_width, "num_hidden_layers": p.text_layers, "num_attention_heads": p.text_heads}
    tokens = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = CLIPConfig(
        vision_config=image | {"intermediate_size": 4 * p.width, "image_size": p.image_size, "patch_size": p.patch_size},
        text_config=text
        | tokens
        | {"intermediate_size": 4 * p.text_width, "max_position_embeddings": p.text_length, "vocab_size": len(tokenizer)},
        projection_dim=p.projection,
        logit_scale_init_value=math.log(1 / p.temperature),
    )
    size = p.image_size
    processor = CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    return Clip(CLIPModel(config), processor, tokenizer, "pretrain.clip")


def contrastive_loss(image: Tensor, text: Tensor, captions: Tensor, scale: Tensor) -> Tensor:
    """Symmetric InfoNCE of a batch (Radford et al. 2021, Fig. 3), where a caption may belong to several images.

    Pairs of equal captions are all positives: a target is spread evenly over them. With captions that are all different this is CLIP's
    loss; with its one-hot targets, images of one class would be pushed off each other's captions, which are the same.

    Args:
        image, text: raw features [B, D] of the images and of a wording of each one's caption.
        captions: number of the caption of each [B].
        scale: 1 / temperature.
    """
    logits = scale * F.normalize(image, dim=1) @ F.normalize(text, dim=1).T
    equal = (captions[:, None] == captions).float()
    target = equal / equal.sum(1)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def parameter_groups(model: CLIPModel, weight_decay: float) -> list[dict]:
    """Matrices decay; gains, biases and the temperature do not (Radford et al. 2021, 2.5)."""
    weights, others = ([q for q in model.parameters() if (q.ndim > 1) == matrix] for matrix in (True, False))
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def train_epoch(clip: Clip, data: Captioned, optimizer: torch.optim.Optimizer, epoch: int, p: Params, draws: torch.Generator) -> float:
    """One pass over shifted images, the wording of each caption at random; returns the mean loss."""
    batches = torch.randperm(len(data.images), generator=draws).split(p.batch_size)
    scale = clip.model.logit_scale

    def loss(batch: Tensor) -> Tensor:
        wording = torch.randint(data.tokens.shape[1], (len(batch),), generator=draws)
        images = shifted(shown(clip, data.images[batch]).permute(0, 2, 3, 1), p.crop_padding, False, draws).contiguous()
        captions = data.captions[batch]
        tokens, of_image = data.tokens[captions, wording].unique(dim=0, return_inverse=True)
        text = clip.text_features({"input_ids": tokens})[of_image]
        return contrastive_loss(clip.image_features(images), text, captions, scale.exp())

    def rate(step: int) -> float:
        return p.learning_rate * warmup_cosine(epoch + step / len(batches), p.epochs, p.warmup_epochs)

    @torch.no_grad()
    def clip_temperature() -> None:
        scale.clamp_(max=math.log(COLDEST))

    losses = descend(batches, loss, optimizer, rate=rate, after=clip_temperature)
    return summed(each * len(rows) for each, rows in zip(losses, batches, strict=True)) / len(data.images)


@torch.no_grad()
def validate(clip: Clip, images: Iterable[Tensor], labels: Tensor, captions: Sequence[str], count: int) -> tuple[float, float]:
    """Zero-shot classification of ID images by the prompts 'a photo of CAPTION'.

    Args:
        images: batches of them, as the network sees them [b, 3, S, S].
        labels: row of each one's caption [N].
        captions: those of the ID classes, then all others.
        count: of ID captions.

    Returns:
        Mean cross-entropy over all captions, and the accuracy among those of the ID classes.
    """
    text = F.normalize(clip.embed_texts([PROMPT.format(caption) for caption in captions]), dim=1)
    image = F.normalize(torch.cat([clip.image_features(batch) for batch in images]), dim=1)
    logits = clip.logit_scale * image @ text.T
    predicted = logits[:, :count].argmax(1)
    return F.cross_entropy(logits, labels).item(), (predicted == labels).float().mean().item()


def _without_padding(tokens: Tensor, end: int) -> Tensor:
    """Token ids [..., L] up to the last place at which a text ends: a causal encoder, read out there, sees nothing behind it."""
    return tokens[..., : int((tokens == end).int().argmax(-1).max()) + 1]


def shown(clip: Clip, images: Tensor) -> Tensor:
    """uint8 images [B, 3, H, W] as the network sees them [B, 3, S, S]."""
    return clip.pixels(images.float() / 255)


def train(stage: Stage, device: torch.device) -> tuple[Clip, History]:
    """Train on the ID train images and both worlds; validation looks at ID alone, and does not reach the weights."""
    p, seed, history = stage.params.pretrain.clip, stage.params.common.seed, History()
    names = [f"images/{name}" for name in ("train", "world", "clip_world")]
    captions = [caption for name in names for caption in read_captions(stage.read(name))]
    torch.manual_seed(seed)
    wordings = (template.format(caption) for caption in captions for template in p.templates)
    clip = build(p, build_tokenizer(chain(wordings, [PROMPT.format(captions[0])]), p.text_length)).to(device)
    classes = concepts(stage.read("images/train"))
    numbers = {caption: row for row, caption in enumerate(dict.fromkeys([*classes, *captions]))}
    tokens = torch.stack([clip.tokens([template.format(caption) for template in p.templates])["input_ids"] for caption in numbers])
    data = Captioned(
        read_images(stage, device, *names),
        torch.tensor([numbers[caption] for caption in captions], device=device),
        _without_padding(tokens, clip.tokenizer.eos_token_id),
    )
    val = read_images(stage, device, "images/val")
    val_labels = read_table(stage.read("images/val"), ["label"])["label"].to_pylist()
    labels = torch.tensor([numbers[classes[label]] for label in val_labels], device=device)
    clip.train().requires_grad_(True)
    optimizer = torch.optim.AdamW(parameter_groups(clip.model, p.weight_decay), p.learning_rate, betas=(0.9, 0.98), eps=1e-6, fused=True)
    stateful = {"clip": clip, "optimizer": optimizer, "history": history}
    for epoch in epochs(p.epochs, seed, NAME, stage.scratch / "training.pt", stateful):
        row = {"loss": train_epoch(clip, data, optimizer, epoch, p, generator(seed, NAME, epoch))}
        if (epoch + 1) % p.validate_every == 0 or epoch + 1 == p.epochs:
            batches = (shown(clip, batch) for batch in val.split(INFERENCE_BATCH))
            row["val_loss"], row["val_accuracy"] = validate(clip, batches, labels, list(numbers), len(set(classes)))
        history.add(epoch=epoch + 1, **row, temperature=1 / clip.logit_scale)
    return clip, history


def main(stage: Stage) -> None:
    """Write data/models/clip: the model and its processor, penumbra.json (provenance), history.csv (none for an imported one)."""
    device = setup()
    p, history = stage.params.pretrain.clip, None
    if p.model:
        clip = Clip.load(p.model)
    else:
        clip, history = train(stage, device)
    write_model(stage, clip, history)
