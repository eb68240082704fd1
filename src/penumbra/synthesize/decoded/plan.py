"""synthesize-decoded@VARIANT: the guided representations of Bad-OOD's candidates, painted by another decoder than MAGE (Fig. 4 b).

Nothing is guided anew: the representations are read from the candidates of `of`, so two variants differ by what paints them and by
nothing else, candidate by candidate.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from penumbra.artifacts.images import read_table
from penumbra.stage import Stage
from penumbra.synthesize import outliers

BLOCK = 256  # candidates in a block of work; fixed, so that parts and restarts compute the same batches
COLUMNS = {
    "sample_id": pa.string(),
    "source_id": pa.string(),
    "label": pa.int64(),
    "scale": pa.float64(),
    "norm": pa.float32(),
    "of": pa.string(),  # the candidate whose representation it is
    "distance_l2": pa.float32(),
    "distance_cosine": pa.float32(),
    "distance_mse": pa.float32(),
    "distance_unit_l2": pa.float32(),
    "seed": pa.int64(),
}
TAKEN = ("source_id", "label", "scale", "norm")  # over from the candidate of the same representation


@dataclass(frozen=True)
class Candidate:
    """A candidate before it is painted: the row of the one whose representation it is, and what is taken over from it."""

    row: int
    of: str
    taken: dict

    @property
    def number(self) -> str:
        """SOURCE-COPY, as in the sample ids of both."""
        return self.of.rpartition("/")[2]


def planned(stage: Stage) -> list[Candidate]:
    """All candidates of a stage, in order."""
    rows = read_table(stage.read("outliers"), ["sample_id", *TAKEN]).to_pylist()
    return [Candidate(index, row["sample_id"], {name: row[name] for name in TAKEN}) for index, row in enumerate(rows)]


def main(stage: Stage) -> None:
    """Write data/outliers/METHOD.parquet, one row for each candidate."""

    def load() -> Callable[[Sequence[Candidate]], Iterator[dict]]:
        from penumbra.synthesize.decoded.draw import open_blocks  # assembling needs no torch

        return open_blocks(stage)

    outliers.run(stage, planned(stage), BLOCK, COLUMNS, load)
