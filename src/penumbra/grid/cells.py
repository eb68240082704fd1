"""The images of a grid, as both kinds of sources give them and as they are kept."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import ImageWriter, encode
from penumbra.stage import Stage

COLUMNS = {"sample_id": pa.string(), "source_id": pa.string(), "semantic": pa.int64(), "covariate": pa.int64()}


class Cell(NamedTuple):
    """An image, and the cell that it belongs to.

    Attributes:
        source_id: what it is made of, or the file below the folder.
        semantic, covariate: levels of the two shifts, from 0: the least.
        pixels: uint8 [S, S, 3].
    """

    source_id: str
    semantic: int
    covariate: int
    pixels: np.ndarray


def write(stage: Stage, name: str, cells: Iterable[Cell]) -> None:
    """Write data/grids/NAME.parquet: a row for each image, with the levels of its cell."""
    with replace(stage.write()) as temporary, ImageWriter(temporary, COLUMNS, stage.provenance) as writer:
        for index, cell in enumerate(cells):
            levels = {"semantic": cell.semantic, "covariate": cell.covariate}
            writer.add(encode(cell.pixels), sample_id=f"{name}/{index:06d}", source_id=cell.source_id, **levels)
    stage.finish()
