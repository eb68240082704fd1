"""synthesize-images@mixed: each ID training image, mixed with one of another class."""

import numpy as np
import pyarrow as pa

from penumbra.artifacts.images import encode, read_pixels, read_table
from penumbra.seeds import derive
from penumbra.stage import Stage
from penumbra.synthesize import outliers

BLOCK = 256
COLUMNS = {"sample_id": pa.string(), "source_id": pa.string(), "label": pa.int64(), "other_id": pa.string()}


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, one row for each ID training image."""
    share, seed = stage.params.synthesize[stage.item].share, stage.params.common.seed
    path = stage.read("images/train")
    table, pixels = read_table(path, ["sample_id", "label"]).to_pandas(), read_pixels(path).astype(float)

    def rows(block):
        for row in block:
            others = np.flatnonzero(table.label != table.label[row])
            other = np.random.default_rng(derive(seed, "synthesize/mixed", row)).choice(others)
            mixed = (1 - share) * pixels[row] + share * pixels[other]
            names = {"source_id": table.sample_id[row], "label": int(table.label[row]), "other_id": table.sample_id[other]}
            yield {"image": encode(np.round(mixed).astype(np.uint8)), "sample_id": f"{stage.item}/{row:06d}", **names}

    outliers.run(stage, range(len(table)), BLOCK, COLUMNS, lambda: rows)
