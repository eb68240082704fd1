"""synthesize-images@real: images of the world as they are, where a method makes outliers."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from penumbra.artifacts.images import encode, read_pixel_rows, read_table
from penumbra.errors import PenumbraError
from penumbra.stage import Stage
from penumbra.synthesize import outliers

BLOCK = 256  # candidates in a block of work; fixed, so that parts and restarts compute the same batches
COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "set": pa.string(),
    "caption": pa.string(),
    "world_id": pa.string(),
    "seed": pa.int64(),
}


def plan(stage: Stage) -> list[dict]:
    """The rows of the result without their images, and `row`, where in the world each lies.

    Raises:
        PenumbraError: the world has no image of the sets.
    """
    wanted = stage.params.synthesize[stage.item].sets
    world = read_table(stage.read("images/world"), ["sample_id", "set", "caption"]).to_pylist()
    chosen = [(row, each) for row, each in enumerate(world) if wanted is None or each["set"] in wanted]
    if not chosen:
        raise PenumbraError(f"{stage.read('images/world')}: holds no real outlier. Name sources of some in prepare.world.")
    return [
        {
            "row": row,
            "sample_id": f"{stage.item}/{index:06d}",
            "source_id": "",
            "label": -1,
            "set": each["set"],
            "caption": each["caption"],
            "world_id": each["sample_id"],
            "seed": stage.params.common.seed,
        }
        for index, (row, each) in enumerate(chosen)
    ]


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, one row for each image of the world's sets."""

    def rows(block: Sequence[dict]) -> Iterator[dict]:
        pixels = read_pixel_rows(stage.read("images/world"), [each["row"] for each in block])
        for image, each in zip(pixels, block, strict=True):
            yield {"image": encode(image)} | {name: value for name, value in each.items() if name != "row"}

    def load() -> Callable[[Sequence[dict]], Iterator[dict]]:
        return rows

    outliers.run(stage, plan(stage), BLOCK, COLUMNS, load)
