"""synthesize-images@hardaug: ID images under transformations that break what they show."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from penumbra.stage import Stage
from penumbra.synthesize import engine
from penumbra.synthesize.sources import Source, read_images

BLOCK = 256  # candidates that the engine has made at a time; fixed, so that parts and restarts compute the same batches
COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "split": pa.string(),
    "transformations": pa.string(),
    "seed": pa.int64(),
}


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, `per_image` rows for each ID training image."""

    def load() -> Callable[[Sequence[Source]], Iterator[dict]]:
        from penumbra.synthesize.hardaug.draw import open_blocks  # assembling draws nothing

        return open_blocks(stage)

    count = stage.params.synthesize[stage.item].per_image
    images = [image for image in read_images(stage, ["train"]) for _ in range(count)]
    sources = [Source(image, index) for index, image in enumerate(images)]
    engine.run(stage, sources, BLOCK, COLUMNS, load)
