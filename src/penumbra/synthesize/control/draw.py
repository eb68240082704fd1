"""Draws the controls: ID images that a pipeline encodes and decodes."""

from collections.abc import Callable, Iterator, Sequence

import torch

from penumbra.artifacts.images import encode
from penumbra.models.inpainting import InpaintingDiffusion
from penumbra.models.latent import LatentDiffusion
from penumbra.noise import SampleNoise
from penumbra.runtime import setup
from penumbra.stage import Stage
from penumbra.synthesize.latents import draw_pixels, encoded, images_of, resized
from penumbra.synthesize.sources import Source, read_source_pixels

PIPELINES = {"diffusion": LatentDiffusion, "inpainting": InpaintingDiffusion}


@torch.no_grad()
def _rows(model: LatentDiffusion, block: Sequence[Source], stage: Stage) -> Iterator[dict]:
    p, common, pixels = stage.params.synthesize[stage.item], stage.params.common, read_source_pixels(stage, block)
    images = resized(images_of(pixels, model.device), model.image_size)
    streams = SampleNoise(common.seed, "synthesize/posterior", [source.image.sample_id for source in block])
    noise = streams.normal(*model.latent_shape).to(model.device) if p.posterior == "sample" else None
    made = draw_pixels(model, encoded(model, images, noise), pixels.shape[1], common.grey)
    for source, image in zip(block, made, strict=True):
        yield {"image": encode(image, jpeg=p.jpeg), **source.provenance(stage)}


def open_blocks(stage: Stage) -> Callable[[Sequence[Source]], Iterator[dict]]:
    """Load the pipeline; returns what makes the rows of a block."""
    name, device = stage.params.synthesize[stage.item].pipeline, setup()
    model = PIPELINES[name].load(stage.read(f"models/{name}"), device)
    return lambda block: _rows(model, block, stage)
