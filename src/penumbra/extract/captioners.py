"""Captioners of extract@contexts: CLIP's nearest words, or a LLaVA model that is asked."""

from collections.abc import Callable, Sequence
from math import isfinite

import torch
import torch.nn.functional as F
from torch import Tensor

from penumbra.artifacts.captions import concepts
from penumbra.artifacts.images import read_pixel_rows, read_table
from penumbra.artifacts.vocabulary import captions, lines, vocabulary
from penumbra.errors import PenumbraError
from penumbra.extract.labels import clean, stems
from penumbra.runtime import inference_batch, setup
from penumbra.stage import Params, Stage

BATCH = 64
Caption = tuple[str, list[str]]  # the answer, its labels


def allowed_words(words: Sequence[str], names: Sequence[str], origin: str) -> Tensor:
    """Whether each of V words may be a label of each of C classes: mask [C, V], true for those that share no word with its name.

    Raises:
        PenumbraError: a class has none.
    """
    holders: dict[str, list[int]] = {}
    for index, word in enumerate(words):
        for stem in stems(word):
            holders.setdefault(stem, []).append(index)
    allowed = torch.ones(len(names), len(words), dtype=torch.bool)
    for label, name in enumerate(names):
        allowed[label, [index for stem in stems(name) for index in holders.get(stem, ())]] = False
    for name, some in zip(names, allowed.any(dim=1).tolist(), strict=True):
        if not some:
            raise PenumbraError(f"{origin}: all of its {len(words)} words name the ID class {name!r}. Give it words for what is beside it.")
    return allowed


def nearest_words(images: Tensor, words: Tensor, allowed: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The allowed words of highest cosine with each image, the nearest first; of equal ones the first of the list.

    Args:
        images: raw features [B, D].
        words: raw features [V, D].
        allowed: mask [B, V].
        count: words of an image, at most.

    Returns:
        Cosines [B, min(count, V)], -inf for words that are not allowed, and the indices of the words.
    """
    cosine = F.normalize(images, dim=1) @ F.normalize(words, dim=1).T
    order = cosine.masked_fill(~allowed, -torch.inf).sort(dim=1, descending=True, stable=True)
    return order.values[:, :count], order.indices[:, :count]


def _tagger(stage: Stage, p: Params, names: list[str], device: torch.device) -> Callable[[Tensor, list[int]], list[Caption]]:
    from penumbra.models.clip import Clip

    if p.vocabulary == "world":
        listed, origin = captions(stage.read("images/world")), str(stage.read("images/world"))
    else:
        listed, origin = lines(p.vocabulary, "extract.contexts.tags.vocabulary"), p.vocabulary
    words = vocabulary(listed, names, origin)
    allowed = allowed_words(words, names, origin)
    clip = Clip.load(stage.read("models/clip"), device)
    features = clip.embed_texts([p.template.replace("{}", word) for word in words]).cpu()

    def caption(pixels: Tensor, labels: list[int]) -> list[Caption]:
        images = clip.embed_images(pixels.to(device).float() / 255).cpu()
        cosines, indices = nearest_words(images, features, allowed[labels], p.labels)
        found = []
        for row in zip(cosines.tolist(), indices.tolist(), strict=True):
            near = [(words[index], cosine) for cosine, index in zip(*row, strict=True) if isfinite(cosine)]
            found.append((", ".join(f"{word} ({cosine:.3f})" for word, cosine in near), [word for word, _ in near]))
        return found

    return caption


def _asked(p: Params, names: list[str], device: torch.device) -> Callable[[Tensor, list[int]], list[Caption]]:
    from penumbra.models.llava import Llava

    llava = Llava.load(p.model, device)

    def caption(pixels: Tensor, labels: list[int]) -> list[Caption]:
        own = [names[label] for label in labels]
        answers = llava.answer(pixels, [p.question.replace("{}", name) for name in own], p.tokens)
        return [(answer, clean(answer, name, p.labels)) for answer, name in zip(answers, own, strict=True)]

    return caption


def open_captioner(stage: Stage) -> Callable[[Sequence[int]], list[Caption]]:
    """Load the model of extract.contexts.tags.captioner; returns what captions rows of images/train, which ascend."""
    device, p, train = setup(), stage.params.extract.contexts, stage.read("images/train")
    names, label = concepts(train), read_table(train, ["label"])["label"].to_pylist()
    ask = _asked(p, names, device) if p.captioner == "llava" else _tagger(stage, p, names, device)

    def caption(rows: Sequence[int]) -> list[Caption]:
        pixels, labels = torch.from_numpy(read_pixel_rows(train, rows)).permute(0, 3, 1, 2), [label[row] for row in rows]
        size = inference_batch(BATCH)
        parts = (slice(start, start + size) for start in range(0, len(rows), size))
        return [row for part in parts for row in ask(pixels[part], labels[part])]

    return caption
