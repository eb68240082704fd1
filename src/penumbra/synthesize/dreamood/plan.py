"""synthesize-diffusion@dream-ood: outliers in the space of word embeddings, decoded by the text-to-image model (Dream-OOD)."""

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from penumbra.stage import Stage
from penumbra.synthesize import outliers
from penumbra.synthesize.prompted import BLOCK, Prompted, plan

COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "prompt": pa.string(),
    "knn": pa.float32(),
    "seed": pa.int64(),
}


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, `per_class` rows for each ID class."""

    def load() -> Callable[[Sequence[Prompted]], Iterator[dict]]:
        from penumbra.synthesize.dreamood.draw import open_blocks  # assembling needs no torch

        return open_blocks(stage)

    outliers.run(stage, plan(stage), BLOCK, COLUMNS, load)
