"""Draws the candidates of SONA: edited ID images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from penumbra.artifacts.captions import concepts
from penumbra.artifacts.images import encode
from penumbra.artifacts.vocabulary import captions, lines, vocabulary
from penumbra.guidance.diffedit import MAPS, diffedited
from penumbra.guidance.partial import edited
from penumbra.guidance.semantic import Edit
from penumbra.models.latent import LatentDiffusion
from penumbra.noise import SampleNoise
from penumbra.runtime import inference_batch, setup
from penumbra.stage import Params, Stage
from penumbra.synthesize.distances import distances
from penumbra.synthesize.latents import draw_pixels, encoded, images_of, levels_of, resized
from penumbra.synthesize.sona import words
from penumbra.synthesize.sona.illustration import Film
from penumbra.synthesize.sona.plan import BLOCK, Candidate
from penumbra.synthesize.sources import read_source_pixels


@dataclass(frozen=True)
class Texts:
    """What the pipeline is told.

    Attributes:
        names: of the ID classes, by label.
        words: for what is not ID; empty if no step is taken.
        pools: indices of the words that may be drawn, by label.
    """

    names: list[str]
    words: list[str]
    pools: list[Tensor]


@dataclass(frozen=True)
class Batch:
    """Images that are edited together.

    Attributes:
        pixels: uint8 [B, S, S, 3].
        sample_ids: of the B images.
        stops: [B], executed steps.
        prompts: "id" and "ood", B texts each.
        shown: rows whose masks and path are kept.
    """

    pixels: np.ndarray
    sample_ids: list[str]
    stops: Tensor
    prompts: dict[str, list[str]]
    shown: list[int]


@dataclass(frozen=True)
class Outliers:
    """Edited images, uint8 [B, S, S, 3], the measured columns [B], and PNG of masks and path for the rows that have them."""

    pixels: np.ndarray
    measured: dict[str, Tensor]
    masks: dict[int, bytes | None]
    path: dict[int, bytes | None]


def edit_of(p: Params) -> Edit:
    """The guidance of p.edit: SEGA keeps the OOD term alone, on the ID prompt; SDEdit has no masked term (synthesize.METHOD)."""
    terms = {name: p[name] and p.edit == "sona" for name in ("remove", "keep", "spare")}
    return Edit(
        scale=p.scale,
        share=p.share,
        granularity=p.granularity,
        **terms,
        add=p.edit == "sega" or (p.edit == "sona" and p.add),
        warmup=tuple(p.warmup),
        momentum_scale=p.momentum_scale,
        momentum_beta=p.momentum_beta,
        text="ood" if p.edit == "sdedit" else "id",
        text_guidance=p.text_guidance,
    )


@torch.no_grad()
def edit_batch(model: LatentDiffusion, batch: Batch, p: Params, seed: int, grey: bool) -> Outliers:
    """Edit B images (p: params.yaml, synthesize.METHOD; grey: `toned`). Distances are those of the autoencoder's latents."""
    size = batch.pixels.shape[1]
    shape = model.latent_shape

    def noise(purpose: str) -> Tensor:
        """Of a stream that knows neither method nor block: methods then differ by the edit and nothing else."""
        return SampleNoise(seed, f"synthesize/{purpose}", batch.sample_ids).normal(*shape).to(model.device)

    source = resized(images_of(batch.pixels, model.device), model.image_size)
    clean = encoded(model, source, noise("posterior") if p.posterior == "sample" else None)
    film, latents = Film(batch.shown, batch.stops), clean
    if batch.stops.any():
        latents = _moved(model, clean, batch, p, noise, film)
    pixels = draw_pixels(model, latents, size, grey)
    measured = {
        "displacement": torch.linalg.vector_norm((latents - clean).flatten(1), dim=1),
        **distances(encoded(model, resized(images_of(pixels, model.device), model.image_size), None).flatten(1), clean.flatten(1)),
    }
    return Outliers(
        pixels,
        {name: values.cpu() for name, values in measured.items()},
        {row: film.masks(row, size) for row in batch.shown},
        {row: film.path(row, lambda z: draw_pixels(model, z, size, grey)) for row in batch.shown},
    )


def _moved(model: LatentDiffusion, clean: Tensor, batch: Batch, p: Params, noise: Callable[[str], Tensor], film: Film) -> Tensor:
    """Edited latents [B, C, h, w] of clean ones, by p.edit; `noise` gives the draws of a purpose."""
    edit, levels = edit_of(p), levels_of(model, p)
    names = ("id", "ood") if p.edit == "diffedit" else edit.conditions
    texts = [[""] * len(clean), *(batch.prompts[name] for name in names)]
    conditions = model.embed([text for texts_of in texts for text in texts_of]).unflatten(0, (len(texts), len(clean)))
    if p.edit == "diffedit":
        noises = torch.stack([noise(f"region-{draw}") for draw in range(MAPS)])
        return diffedited(model.eps, clean, noises, batch.stops, conditions, p.text_guidance, levels, film)
    return edited(model.eps, clean, noise("forward"), batch.stops, conditions, edit, levels, p.sampler, film)


def draw_stops(sample_ids: Sequence[str], stop: Sequence[int], seed: int) -> Tensor:
    """Executed steps [B], uniform over stop[0]..stop[1], of each image by itself."""
    low, high = stop
    uniform = SampleNoise(seed, "synthesize/stop", sample_ids).uniform()
    return low + (uniform.double() * (high - low + 1)).long()


def _rows(model: LatentDiffusion, texts: Texts, block: Sequence[Candidate], stage: Stage) -> Iterator[dict]:
    p, seed, grey = stage.params.synthesize[stage.item], stage.params.common.seed, stage.params.common.grey
    for start in range(0, len(block), size := inference_batch(BLOCK)):
        candidates = block[start : start + size]
        ids, labels = ([getattr(c.image, name) for c in candidates] for name in ("sample_id", "label"))
        stops = draw_stops(ids, p.stop, seed)
        uniform = SampleNoise(seed, "synthesize/word", ids).uniform().tolist()
        drawn = [
            texts.words[words.draw(texts.pools[label], u)] if stop else ""
            for label, stop, u in zip(labels, stops.tolist(), uniform, strict=True)
        ]
        prompts = {
            "id": [p.prompt.format(texts.names[label]) for label in labels],
            "ood": [p.prompt.format(word) if word else "" for word in drawn],
        }
        shown = [row for row, candidate in enumerate(candidates) if candidate.shown]
        made = edit_batch(model, Batch(read_source_pixels(stage, candidates), ids, stops, prompts, shown), p, seed, grey)
        for row, candidate in enumerate(candidates):
            yield {
                "image": encode(made.pixels[row]),
                **candidate.provenance(stage),
                "prompt": prompts["ood"][row],
                "word": drawn[row],
                "stop": int(stops[row]),
                "masks": made.masks.get(row),
                "path": made.path.get(row),
                **{name: values[row].item() for name, values in made.measured.items()},
            }


def _texts(stage: Stage, model: LatentDiffusion, p: Params) -> Texts:
    names = concepts(stage.read("images/train"))
    if p.stop[1] == 0:
        return Texts(names, [], [])
    if p.word_file:
        listed, origin = lines(p.word_file, f"synthesize.{stage.item}.word_file"), p.word_file
    else:
        listed, origin = captions(stage.read("images/world")), str(stage.read("images/world"))
    found = vocabulary(listed, names, origin)
    prompts = [[p.prompt.format(text) for text in texts] for texts in (names, found)]
    model.tokens(prompts[0] + prompts[1])  # a prompt that is too long is known before the work begins
    if p.words == "random":
        distance = torch.zeros(len(names), len(found))
    else:
        distance = words.text_distance(*(model.embed_pooled(texts).cpu() for texts in prompts))
    return Texts(names, found, [words.pool(row, p.words) for row in distance])


def open_blocks(stage: Stage) -> Callable[[Sequence[Candidate]], Iterator[dict]]:
    """Load the models; returns what makes the rows of a block."""
    model = LatentDiffusion.load(stage.read("models/diffusion"), setup())
    texts = _texts(stage, model, stage.params.synthesize[stage.item])
    return lambda block: _rows(model, texts, block, stage)
