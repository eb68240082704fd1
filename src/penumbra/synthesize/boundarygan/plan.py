"""synthesize-images@boundary-gan: images that a GAN draws at the boundary of ID (Lee et al. 2018)."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from penumbra.stage import Stage
from penumbra.synthesize import outliers

BLOCK = 256  # candidates in a block of work; fixed, so that parts and restarts compute the same batches
COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "confidence": pa.float32(),
    "seed": pa.int64(),
}


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, `count` rows; label and confidence are what the GAN's own classifier sees."""

    def load() -> Callable[[Sequence[int]], Iterator[dict]]:
        from penumbra.synthesize.boundarygan.draw import open_blocks  # assembling needs no torch

        return open_blocks(stage)

    outliers.run(stage, range(stage.params.synthesize[stage.item].count), BLOCK, COLUMNS, load)
