"""synthesize-control: ID images that a pipeline encodes and decodes, unchanged: what its autoencoder alone does to an image."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from penumbra.stage import Stage
from penumbra.synthesize import outliers
from penumbra.synthesize.sources import Source, read_images

BLOCK = 64  # images in a block of work; fixed, so that parts and restarts compute the same batches
COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "split": pa.string(),
    "seed": pa.int64(),
}


def main(stage: Stage) -> None:
    """Write data/controls/NAME.parquet, one row for each ID image of the splits."""

    def load() -> Callable[[Sequence[Source]], Iterator[dict]]:
        from penumbra.synthesize.control.draw import open_blocks  # assembling needs no torch

        return open_blocks(stage)

    images = read_images(stage, stage.params.synthesize[stage.item].splits)
    sources = [Source(image, index) for index, image in enumerate(images)]
    outliers.run(stage, sources, BLOCK, COLUMNS, load, output="controls")
