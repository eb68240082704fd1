"""synthesize-diffusion@fake-it: samples of a diffusion model of ID images whose training stops early (Fake-it)."""

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
    "seed": pa.int64(),
}


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, `per_class` rows for each ID class."""

    def load() -> Callable[[Sequence[Prompted]], Iterator[dict]]:
        from penumbra.synthesize.fakeit.draw import open_blocks  # assembling needs no torch

        return open_blocks(stage)

    outliers.run(stage, plan(stage), BLOCK, COLUMNS, load)
