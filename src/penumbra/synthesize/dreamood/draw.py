"""Draws the candidates of Dream-OOD."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penumbra.artifacts.captions import concepts
from penumbra.artifacts.images import encode, read_pixels, read_table
from penumbra.errors import PenumbraError
from penumbra.guidance.diffusion import classifier_free, ddim_sample
from penumbra.models.latent import LatentDiffusion
from penumbra.noise import SampleNoise
from penumbra.runtime import inference_batch, setup
from penumbra.stage import Stage
from penumbra.synthesize.dreamood.embedding import NAME, embeddings_of, outliers, trained
from penumbra.synthesize.dreamood.plan import BLOCK
from penumbra.synthesize.dreamood.words import anchors, conditions, own_tokens
from penumbra.synthesize.latents import draw_pixels
from penumbra.synthesize.prompted import Prompted


@dataclass(frozen=True)
class Dreams:
    """What candidates are decoded from.

    Attributes:
        model: the text-to-image pipeline.
        ids, own: tokens of each class's prompt [C, L], and those that say which class it is.
        embeddings: in their place, of each class and copy [C, per_class, D].
        distances: to the k-th neighbour among ID embeddings of the class [C, per_class].
    """

    model: LatentDiffusion
    ids: Tensor
    own: Tensor
    embeddings: Tensor
    distances: Tensor


def dreams(stage: Stage, device: torch.device) -> Dreams:
    """Learn the embedding of images, and draw all outliers in it.

    Raises:
        PenumbraError: a class has fewer images than knn_k or boundary, or no word of its own.
    """
    p, seed, train = stage.params.synthesize[stage.item], stage.params.common.seed, stage.read("images/train")
    model = LatentDiffusion.load(stage.read("models/diffusion"), device)
    prompts = [p.prompt.format(name) for name in concepts(train)]
    ids = model.tokens(prompts)
    own = own_tokens(ids, prompts)
    words = anchors(model, ids, own)
    pixels = torch.from_numpy(read_pixels(train)).to(device)
    labels = torch.tensor(read_table(train, ["label"])["label"].to_pylist(), device=device)
    fewest = int(labels.bincount(minlength=len(prompts)).min())
    for key in ("knn_k", "boundary"):
        if p[key] > fewest:
            raise PenumbraError(f"params.yaml: {stage.item}.{key} = {p[key]}: must be at most {fewest}, the images of the smallest class.")
    seen = embeddings_of(trained(pixels, labels, words, p.embedding, seed, stage.scratch), pixels)
    found = [outliers(seen[labels == label], p, (seed, NAME, label)) for label in range(len(prompts))]
    lengths = words.norm(dim=1)[:, None, None]
    return Dreams(model, ids, own, torch.stack([each for each, _ in found]) * lengths, torch.stack([far for _, far in found]))


@torch.no_grad()
def _rows(dream: Dreams, block: Sequence[Prompted], stage: Stage) -> Iterator[dict]:
    p, common, model = stage.params.synthesize[stage.item], stage.params.common, dream.model
    size, levels = inference_batch(BLOCK), dream.model.levels(p.steps)
    for part in (block[start : start + size] for start in range(0, len(block), size)):
        labels, copies = [each.label for each in part], [each.copy for each in part]
        condition = conditions(model, dream.ids[labels], dream.own[labels], dream.embeddings[labels, copies])
        eps = classifier_free(model.eps, condition, model.embed([""]), p.guidance_scale)
        noise = SampleNoise(common.seed, NAME, [f"{each.label}-{each.copy}" for each in part])
        start = noise.normal(*model.latent_shape).to(model.device)
        drawn = draw_pixels(model, ddim_sample(eps, start, levels), common.image_size, common.grey)
        for each, image in zip(part, drawn, strict=True):
            yield {"image": encode(image), "knn": dream.distances[each.label, each.copy].item(), **each.provenance(stage)}


def open_blocks(stage: Stage) -> Callable[[Sequence[Prompted]], Iterator[dict]]:
    """Load the pipeline, learn and draw embeddings; returns what makes the rows of a block."""
    dream = dreams(stage, setup())
    return lambda block: _rows(dream, block, stage)
