"""synthesize-images@cutpaste: patches of ID images, pasted elsewhere in them (CutPaste)."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from penumbra.stage import Stage
from penumbra.synthesize import outliers
from penumbra.synthesize.sources import Source
from penumbra.synthesize.varied import BLOCK, plan

COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "split": pa.string(),
    "area": pa.float32(),
    "seed": pa.int64(),
}


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, `per_image` rows for each ID training image."""

    def load() -> Callable[[Sequence[Source]], Iterator[dict]]:
        from penumbra.synthesize.cutpaste.draw import open_blocks  # assembling draws nothing

        return open_blocks(stage)

    outliers.run(stage, plan(stage), BLOCK, COLUMNS, load)
