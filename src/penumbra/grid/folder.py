"""grid@NAME on disk, in the layout of SynIS (Long et al. 2024): a folder cov_C_sem_S for each cell, levels from 0."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.errors import PenumbraError
from penumbra.grid.cells import Cell, write
from penumbra.prepare.ingest import ordered_map
from penumbra.prepare.pixels import load_pixels, read_file
from penumbra.prepare.record import Record, Unusable
from penumbra.prepare.split import shuffled
from penumbra.runtime import progress
from penumbra.stage import Stage

if TYPE_CHECKING:
    from penumbra.grid.params import Folder

LAYOUT = re.compile(r"cov_(\d+)_sem_(\d+)")


def main(stage: Stage) -> None:
    """Write data/grids/NAME.parquet.

    Raises:
        PenumbraError: no folder is named so, one holds no image, or an image cannot be used.
    """
    ((name, spec),) = stage.params.grid.folder.items()
    write(stage, name, cells(stage, name, spec))


def cells(stage: Stage, name: str, spec: "Folder") -> Iterator[Cell]:
    """The images of every cell, as `prepare` takes images; of each cell as many as `per_cell` says, null: all.

    Names that start with a dot, and folders of other names, are passed over.
    """
    size, seed = stage.params.common.image_size, stage.params.common.seed
    root = Path(spec.path)
    found = {folder: files(folder) for folder in folders(root, name)}
    chosen = [
        (root / source_id, source_id, *levels)
        for folder, (levels, names) in found.items()
        for source_id in shuffled([f"{folder.name}/{each}" for each in names], seed, f"grid/{name}")[: spec.per_cell]
    ]
    yield from progress(ordered_map(partial(_cell, size=size), chosen), stage.name, total=len(chosen))


def folders(root: Path, name: str) -> list[Path]:
    """The folders of the cells, by name.

    Raises:
        PenumbraError: there is none.
    """
    found = sorted(path for path in root.iterdir() if LAYOUT.fullmatch(path.name) and path.is_dir()) if root.is_dir() else []
    if not found:
        raise PenumbraError(f"grid.folder.{name}.path: {root} has no folder cov_C_sem_S. Name the folder that holds those of SynIS.")
    return found


def files(folder: Path) -> tuple[tuple[int, int], list[str]]:
    """Semantic and covariate level of a cell, and the names of its images.

    Raises:
        PenumbraError: it has none.
    """
    covariate, semantic = map(int, LAYOUT.fullmatch(folder.name).groups())
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not names:
        raise PenumbraError(f"{folder}: holds no image. Put those of the cell there, or take the folder away.")
    return (semantic, covariate), names


def _cell(item: tuple[Path, str, int, int], size: int) -> Cell:
    path, source_id, semantic, covariate = item
    pixels = load_pixels(Record(source_id, None, partial(read_file, path)), size)
    if isinstance(pixels, Unusable):
        raise PenumbraError(f"{path}: {pixels}. Get it again, or take it out of the folder.")
    return Cell(source_id, semantic, covariate, pixels)
