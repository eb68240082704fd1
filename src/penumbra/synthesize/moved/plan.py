"""synthesize-badood@VARIANT with `toward`: guided representations, moved toward ID or away from it before they are decoded (Bad-OOD H.2).

The paper moves the mid band. What is mid is known only when `filter` has judged images, and that comes after this step. So all
candidates are moved here, and each brings its unmoved twin along: the same representation, left where it is, decoded with the same
noise. `filter` judges the twin (`filter.VARIANT.sees: twin`), and a detector learns from the moved images of those that it chose.
"""

import sys
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from penumbra.artifacts.images import IMAGE
from penumbra.stage import Stage
from penumbra.synthesize import outliers
from penumbra.synthesize.badood import plan as badood
from penumbra.synthesize.badood.plan import BLOCK, Candidate, planned, tell_scales

COLUMNS = {  # image, representation, norm and distances are of the moved candidate; displacement and minority scores of its twin
    **{name: kind for name, kind in badood.COLUMNS.items() if name != "seed"},
    "twin": IMAGE,
    "toward": pa.float64(),
    "mean_before": pa.float32(),  # distance from the mean of the class
    "mean_after": pa.float32(),
    "seed": pa.int64(),
}


def _tell(stage: Stage) -> None:
    """What Bad-OOD says of its scales, and one line of what the step did."""
    tell_scales(stage)
    frame = pq.read_table(stage.write("outliers"), columns=["mean_before", "mean_after"]).to_pandas()
    step, before, after = stage.params.synthesize[stage.item].toward, frame.mean_before, frame.mean_after
    way = "toward ID" if step >= 0 else "away from ID"
    print(
        f"{stage.name}: moved {way} by {abs(step):g} of their length: mean distance from the mean of the class {before.mean():.2f} -> "
        f"{after.mean():.2f}, nearer to it are {(after < before).mean():.0%}",
        file=sys.stderr,
    )


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, one row for each candidate."""

    def load() -> Callable[[Sequence[Candidate]], Iterator[dict]]:
        from penumbra.synthesize.moved.draw import open_blocks  # assembling needs no torch

        return open_blocks(stage)

    outliers.run(stage, planned(stage), BLOCK, COLUMNS, load, _tell)
