"""synthesize@sona: every ID image, noised part of the way and denoised towards something else (SONA; SEGA and SDEdit)."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from penumbra.artifacts.images import read_table
from penumbra.stage import Params, Stage
from penumbra.synthesize import engine

BLOCK = 64  # images in a unit of work; fixed, so that parts and restarts compute the same batches
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
class Source:
    """An ID image before it is edited, and where it goes.

    Attributes:
        index: row of the result.
        split: train | test.
        row: in data/images/SPLIT.parquet.
        sample_id, label: of the image.
        shown: keep its masks and path.
    """

    index: int
    split: str
    row: int
    sample_id: str
    label: int
    shown: bool


def _sources(stage: Stage, p: Params) -> list[Source]:
    found: list[tuple[str, int, str, int]] = []
    for split in p.splits:
        table = read_table(stage.read(f"images/{split}"), ["sample_id", "label"]).to_pydict()
        found += [(split, row, *pair) for row, pair in enumerate(zip(table["sample_id"], table["label"], strict=True))]
    shown = {len(found) * place // p.illustrated for place in range(p.illustrated)}
    return [Source(index, *source, shown=index in shown) for index, source in enumerate(found)]


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
    """Write data/outliers/METHOD.parquet, one row for each ID image of the splits.

    A block of images is a unit: a killed job goes on after the last whole one.
    """

    def load() -> Callable[[Sequence[Source]], Iterator[dict]]:
        from penumbra.synthesize.sona.draw import open_blocks  # assembling needs no torch

        return open_blocks(stage)

    sources = _sources(stage, stage.params.synthesize[stage.item])
    if engine.run(stage, sources, BLOCK, COLUMNS, load):
        _report(stage)
        stage.finish()
