"""synthesize-control: ID images that a pipeline encodes and decodes, unchanged: what its autoencoder alone does to an image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from penumbra.artifacts.images import read_table
from penumbra.stage import Stage
from penumbra.synthesize import engine

BLOCK = 64  # images in a unit of work; fixed, so that parts and restarts compute the same batches
COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "split": pa.string(),
    "seed": pa.int64(),
}


@dataclass(frozen=True)
class Source:
    """An ID image: its row of data/images/SPLIT.parquet, and the row of the result."""

    index: int
    split: str
    row: int
    sample_id: str
    label: int


def plan(stage: Stage) -> list[Source]:
    """The ID images of the splits, in the order of their files."""
    found: list[Source] = []
    for split in stage.params.synthesize[stage.item].splits:
        table = read_table(stage.read(f"images/{split}"), ["sample_id", "label"]).to_pydict()
        for row, (sample_id, label) in enumerate(zip(table["sample_id"], table["label"], strict=True)):
            found.append(Source(len(found), split, row, sample_id, label))
    return found


def open_blocks(stage: Stage) -> Callable[[Sequence[Source]], Iterator[dict]]:
    """Load the pipeline; returns what makes the rows of a block."""
    import numpy as np
    import torch

    from penumbra.artifacts.images import encode, read_pixel_range
    from penumbra.models.inpainting import InpaintingDiffusion
    from penumbra.models.latent import LatentDiffusion
    from penumbra.noise import SampleNoise
    from penumbra.runtime import setup
    from penumbra.synthesize.pipeline import draw_pixels, encoded, resized

    p, seed, device = stage.params.synthesize[stage.item], stage.params.common.seed, setup()
    model = {"diffusion": LatentDiffusion, "inpainting": InpaintingDiffusion}[p.pipeline].load(stage.read(f"models/{p.pipeline}"), device)

    @torch.no_grad()
    def rows(block: Sequence[Source]) -> Iterator[dict]:
        parts = []
        for split, group in groupby(block, key=lambda source: source.split):
            of_split = [source.row for source in group]
            parts.append(read_pixel_range(stage.read(f"images/{split}"), of_split[0], of_split[-1] + 1))
        pixels = np.concatenate(parts)
        images = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255
        noise = SampleNoise(seed, "synthesize/posterior", [source.sample_id for source in block]).normal(*model.latent_shape).to(device)
        latents = encoded(model, resized(images, model.image_size), noise if p.posterior == "sample" else None)
        for source, image in zip(block, draw_pixels(model, latents, pixels.shape[1]), strict=True):
            yield {
                "image": encode(image, jpeg=p.jpeg),
                "sample_id": f"{stage.item}/{source.index:06d}",
                "source_id": source.sample_id,
                "label": source.label,
                "split": source.split,
                "seed": seed,
            }

    return rows


def main(stage: Stage) -> None:
    """Write data/controls/NAME.parquet, one row for each ID image of the splits.

    A block of images is a unit: a killed job goes on after the last whole one.
    """
    if engine.run(stage, plan(stage), BLOCK, COLUMNS, lambda: open_blocks(stage), output="controls"):
        stage.finish()
