"""synthesize@METHOD: candidate outliers by minority guidance (Bad-OOD 3.2-3.3) or by Gaussian noise (app. F)."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from penumbra.artifacts.features import read_sample_ids
from penumbra.stage import Stage
from penumbra.synthesize import outliers

BLOCK = 256  # candidates in a block of work; fixed, so that parts and restarts compute the same batches
COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "scale": pa.float64(),
    "displacement": pa.float32(),
    "norm": pa.float32(),
    "minority_before": pa.float32(),
    "minority_after": pa.float32(),
    "representation": pa.list_(pa.float32()),
    "distance_l2": pa.float32(),
    "distance_cosine": pa.float32(),
    "distance_mse": pa.float32(),
    "distance_unit_l2": pa.float32(),
    "seed": pa.int64(),
}


@dataclass(frozen=True)
class Candidate:
    """A candidate before it is made: its source row, which copy of it, and its scale."""

    row: int
    copy: int
    scale: float


def plan(sources: int, per_image: int, scales: list[float]) -> list[Candidate]:
    """All candidates in order: `per_image` of each source, their scales taken in turn over the whole list."""
    return [Candidate(index // per_image, index % per_image, scales[index % len(scales)]) for index in range(sources * per_image)]


def planned(stage: Stage) -> list[Candidate]:
    """All candidates of a stage, in order."""
    p = stage.params.synthesize[stage.item]
    scales = [0.0] if p.guidance == "none" else p.scales
    return plan(len(read_sample_ids(stage.read("features/encoder"))), p.per_image, scales)


def tell_scales(stage: Stage) -> None:
    """One line per scale on stderr, and a warning where the guided samples have left the space that MAGE knows."""
    names = ["scale", "displacement", "norm", "minority_before", "minority_after", "distance_cosine"]
    frame = pq.read_table(stage.write("outliers"), columns=names).to_pandas()
    expected = (len(pq.ParquetFile(stage.write("outliers")).read_row_group(0, ["representation"])["representation"][0]) - 1) ** 0.5
    frame["rise"] = frame["minority_after"] - frame["minority_before"]
    for scale, mean in frame.groupby("scale")[["displacement", "norm", "rise", "distance_cosine"]].mean().iterrows():
        print(
            f"{stage.name}: scale {scale:g}: displacement {mean.displacement:.2f}, norm {mean.norm:.2f} (ID {expected:.2f}), "
            f"minority score {mean.rise:+.2f}, cosine distance {mean.distance_cosine:.3f}",
            file=sys.stderr,
        )
        if not 0.5 * expected < mean.norm < 2 * expected:
            print(
                f"warning: {stage.name}: samples of scale {scale:g} collapse. Set norm: l2, restandardize: true or less scale.",
                file=sys.stderr,
            )


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, one row for each candidate."""

    def load() -> Callable[[Sequence[Candidate]], Iterator[dict]]:
        from penumbra.synthesize.badood.draw import open_blocks  # assembling needs no torch

        return open_blocks(stage)

    outliers.run(stage, planned(stage), BLOCK, COLUMNS, load, tell_scales)
