"""Draws the candidates of Dream-OOD."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penumbra.artifacts.captions import concepts
from penumbra.artifacts.images import read_table
from penumbra.artifacts.pixels import store
from penumbra.errors import PenumbraError
from penumbra.guidance.diffusion import classifier_free
from penumbra.models.latent import LatentDiffusion
from penumbra.runtime import setup
from penumbra.stage import Stage
from penumbra.synthesize.dreamood.embedding import NAME, embeddings_of, outliers, trained
from penumbra.synthesize.dreamood.words import anchors, conditions, own_tokens
from penumbra.synthesize.latents import Eps, drawn
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
    pixels = store(stage.scratch / "pixels.npy", (train, None))
    labels = torch.tensor(read_table(train, ["label"])["label"].to_pylist(), device=device)
    fewest = int(labels.bincount(minlength=len(prompts)).min())
    for key in ("knn_k", "boundary"):
        if p[key] > fewest:
            raise PenumbraError(f"params.yaml: {stage.item}.{key} = {p[key]}: must be at most {fewest}, the images of the smallest class.")
    seen = embeddings_of(trained(pixels, labels, words, p.embedding, seed, stage.scratch), pixels, device)
    found = [outliers(seen[labels == label], p, (seed, NAME, label)) for label in range(len(prompts))]
    lengths = words.norm(dim=1)[:, None, None]
    return Dreams(model, ids, own, torch.stack([each for each, _ in found]) * lengths, torch.stack([far for _, far in found]))


def open_blocks(stage: Stage) -> Callable[[Sequence[Prompted]], Iterator[dict]]:
    """Load the pipeline, learn and draw embeddings; returns what makes the rows of a block."""
    dream, scale = dreams(stage, setup()), stage.params.synthesize[stage.item].guidance_scale

    def eps(part: Sequence[Prompted]) -> Eps:
        labels, copies = [each.label for each in part], [each.copy for each in part]
        condition = conditions(dream.model, dream.ids[labels], dream.own[labels], dream.embeddings[labels, copies])
        return classifier_free(dream.model.eps, condition, dream.model.embed([""]), scale)

    def rows(block: Sequence[Prompted]) -> Iterator[dict]:
        for each, row in zip(block, drawn(dream.model, block, stage, NAME, eps), strict=True):
            yield row | {"knn": dream.distances[each.label, each.copy].item()}

    return rows
