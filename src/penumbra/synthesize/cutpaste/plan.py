"""synthesize-images@cutpaste: patches of ID images, pasted elsewhere in them (CutPaste)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from penumbra.artifacts.images import encode, read_pixel_rows, read_table
from penumbra.seeds import derive
from penumbra.stage import Stage
from penumbra.synthesize import engine

BLOCK = 256  # candidates in a unit of work; fixed, so that parts and restarts compute the same batches
COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "area": pa.float32(),
    "seed": pa.int64(),
}


@dataclass(frozen=True)
class Candidate:
    """A candidate before it is made: its row of the result, and the row, id and label of its ID image in data/images/train.parquet."""

    index: int
    row: int
    source_id: str
    label: int


def plan(stage: Stage) -> list[Candidate]:
    """`per_image` candidates of each ID training image, in the order of the file."""
    table, count = read_table(stage.read("images/train"), ["sample_id", "label"]).to_pydict(), stage.params.synthesize[stage.item].per_image
    sources = [(row, *source) for row, source in enumerate(zip(table["sample_id"], table["label"], strict=True)) for _ in range(count)]
    return [Candidate(index, *source) for index, source in enumerate(sources)]


def rows(stage: Stage, block: Sequence[Candidate]) -> Iterator[dict]:
    """The rows of a block."""
    import numpy as np

    from penumbra.synthesize.cutpaste.draw import cut_and_paste

    p, seed = stage.params.synthesize[stage.item], stage.params.common.seed
    wanted = sorted({candidate.row for candidate in block})
    pixels = dict(zip(wanted, read_pixel_rows(stage.read("images/train"), wanted), strict=True))
    for candidate in block:
        sample_id = f"{stage.item}/{candidate.index:06d}"
        rng = np.random.default_rng(derive(seed, "synthesize/cutpaste", sample_id))
        image, area = cut_and_paste(pixels[candidate.row], p, rng)
        yield {
            "image": encode(image),
            "sample_id": sample_id,
            "source_id": candidate.source_id,
            "label": candidate.label,
            "area": area,
            "seed": seed,
        }


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, `per_image` rows for each ID training image."""
    if engine.run(stage, plan(stage), BLOCK, COLUMNS, lambda: lambda block: rows(stage, block)):
        stage.finish()
