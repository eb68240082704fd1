"""synthesize@sona: every ID image, noised part of the way and denoised towards something else (SONA; SEGA and SDEdit)."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from penumbra.artifacts.images import read_table
from penumbra.stage import Params, Stage
from penumbra.synthesize import outliers
from penumbra.synthesize.sources import Source, read_images, spread

BLOCK = 64  # candidates in a block of work; fixed, so that parts and restarts compute the same batches
COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "split": pa.string(),
    "prompt": pa.string(),
    "word": pa.string(),
    "stop": pa.int64(),
    "displacement": pa.float32(),
    "distance_l2": pa.float32(),
    "distance_cosine": pa.float32(),
    "distance_mse": pa.float32(),
    "distance_unit_l2": pa.float32(),
    "masks": pa.binary(),
    "path": pa.binary(),
    "seed": pa.int64(),
}


@dataclass(frozen=True)
class Candidate(Source):
    """A candidate before it is made; shown: keep its masks and path."""

    shown: bool


def plan(stage: Stage, p: Params) -> list[Candidate]:
    """All candidates in order: one of each image of the splits (p: params.yaml, synthesize.METHOD)."""
    images = read_images(stage, p.splits)
    shown = spread(len(images), p.illustrated)
    return [Candidate(image, index, index in shown) for index, image in enumerate(images)]


def _report(stage: Stage) -> None:
    """One line on stderr: how far the outliers are from their sources."""
    frame = read_table(stage.write("outliers"), ["stop", "displacement", "distance_cosine"]).to_pandas()
    mean = frame.mean()
    print(
        f"{stage.name}: {len(frame)} images, {mean.stop:.1f} steps, displacement {mean.displacement:.2f}, "
        f"cosine distance {mean.distance_cosine:.3f}",
        file=sys.stderr,
    )


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, one row for each ID image of the splits."""

    def load() -> Callable[[Sequence[Candidate]], Iterator[dict]]:
        from penumbra.synthesize.sona.draw import open_blocks  # assembling needs no torch

        return open_blocks(stage)

    candidates = plan(stage, stage.params.synthesize[stage.item])
    outliers.run(stage, candidates, BLOCK, COLUMNS, load, _report)
