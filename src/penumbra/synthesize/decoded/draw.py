"""Paints representations of candidates by a diffusion model, and measures what came of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import encode, read_table
from penumbra.errors import PenumbraError
from penumbra.models.decoder import Decoder, DitDecoder, LatentDecoder
from penumbra.models.moco import MoCoEncoder
from penumbra.noise import SampleNoise
from penumbra.runtime import inference_batch, setup
from penumbra.stage import Stage
from penumbra.synthesize.decoded.plan import BLOCK, Candidate
from penumbra.synthesize.distances import distances
from penumbra.synthesize.latents import draw_pixels, images_of

DECODERS = {"ldm": LatentDecoder, "dit": DitDecoder}
NOISE = "synthesize/decode"  # equal for all decoders of a candidate: two of them start from one noise


@dataclass(frozen=True)
class Inputs:
    """The frozen models, on one device, and of the candidates [N, D] and of ID images, by sample id, their representations."""

    decoder: Decoder
    encoder: MoCoEncoder
    guided: Tensor
    sources: dict[str, Tensor]


def _rows(inputs: Inputs, block: Sequence[Candidate], stage: Stage) -> Iterator[dict]:
    """Rows of candidates, image and provenance."""
    p, common, device = stage.params.synthesize[stage.item], stage.params.common, inputs.decoder.device
    size = inference_batch(BLOCK)
    for part in (block[start : start + size] for start in range(0, len(block), size)):
        noise = SampleNoise(common.seed, NOISE, [f"{c.taken['source_id']}-{c.number.rpartition('-')[2]}" for c in part])
        guided = inputs.guided[[c.row for c in part]].to(device)
        latents = inputs.decoder.latents(guided, noise.normal(*inputs.decoder.latent_shape), p.steps, p.guidance_scale)
        pixels = draw_pixels(inputs.decoder, latents, common.image_size, common.grey)
        source = torch.stack([inputs.sources[c.taken["source_id"]] for c in part]).to(device)
        measured = distances(inputs.encoder.represent(images_of(pixels, device)), source)
        for index, c in enumerate(part):
            yield {
                "image": encode(pixels[index]),
                "sample_id": f"{stage.item}/{c.number}",
                "of": c.of,
                "seed": common.seed,
                **c.taken,
                **{name: values[index].item() for name, values in measured.items()},
            }


def open_blocks(stage: Stage) -> Callable[[Sequence[Candidate]], Iterator[dict]]:
    """Load the models; returns what makes the rows of a block.

    Raises:
        PenumbraError: the decoder is conditioned on representations of another dimension.
    """
    kind, device = stage.params.synthesize[stage.item].decoder, setup()
    decoder = DECODERS[kind].load(stage.read(f"models/{kind}"), device)
    column = read_table(stage.read("outliers"), ["representation"])["representation"].combine_chunks()
    guided = torch.from_numpy(column.flatten().to_numpy().copy()).view(len(column), -1)
    if decoder.dimension != guided.shape[1]:
        raise PenumbraError(
            f"{decoder.name}: is conditioned on {decoder.dimension} values, and the representations of {stage.read('outliers')} have "
            f"{guided.shape[1]}. Run `penumbra repro {stage.name}`."
        )
    tensors, sample_ids = read_features(stage.read("features/encoder"))
    encoder = MoCoEncoder.from_pretrained(stage.read("models/encoder")).to(device)
    inputs = Inputs(decoder, encoder, guided, dict(zip(sample_ids, tensors["representation"], strict=True)))
    return lambda block: _rows(inputs, block, stage)
