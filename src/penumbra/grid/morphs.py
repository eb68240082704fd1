"""grid@NAME of the experiment's own images: the further down, the more of another class; the further right, the more shifted."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penumbra.artifacts.images import read_pixel_rows, read_table
from penumbra.errors import PenumbraError
from penumbra.grid.cells import Cell, write
from penumbra.grid.morph import Way, way
from penumbra.prepare.shift import SHIFTS
from penumbra.prepare.split import shuffled
from penumbra.runtime import progress
from penumbra.seeds import derive
from penumbra.stage import Stage

if TYPE_CHECKING:
    from penumbra.grid.params import Morphs


def main(stage: Stage) -> None:
    """Write data/grids/NAME.parquet.

    Raises:
        PenumbraError: there are too few images.
    """
    ((name, spec),) = stage.params.grid.morphs.items()
    write(stage, name, cells(stage, name, spec))


def cells(stage: Stage, name: str, spec: "Morphs") -> Iterator[Cell]:
    """Pairs of an ID test image and one of `novel`, in every cell: level k of K is k / (K - 1) of the way, or of the strongest shift.

    Cell (0, 0) holds ID test images, its column their change into another class and nothing else, its row the shift and nothing else.
    """
    seed = stage.params.common.seed
    ours = _chosen(stage.read("images/test"), name, spec, "ID test images", None, seed)
    theirs = _chosen(stage.read("images/ood"), name, spec, f"images of {', '.join(spec.novel)}", spec.novel, seed)
    pairs = zip(ours, theirs, strict=True)
    for (first_id, first), (second_id, second) in progress(pairs, stage.name, total=spec.per_cell):
        source_id = f"{first_id} {second_id}"
        between = _way(first, second, f"grid.morphs.{name}: {first_id} or {second_id}")
        for semantic in range(spec.levels):
            grey = between.at(semantic / (spec.levels - 1))
            pixels = np.repeat(grey[:, :, None], 3, axis=2)
            for covariate in range(spec.levels):
                yield Cell(source_id, semantic, covariate, _shifted(pixels, spec, covariate, derive(seed, "grid", name, source_id)))


def _chosen(path: Path, name: str, spec: "Morphs", what: str, sets: list[str] | None, seed: int) -> list[tuple[str, np.ndarray]]:
    """Sample id and grey pixels uint8 [H, W] of as many images as a cell holds, in an order of their own."""
    table = read_table(path, ["sample_id", "set"]).to_pandas()
    ids = table.sample_id if sets is None else table.sample_id[table.set.isin(sets)]
    if len(ids) < spec.per_cell:
        raise PenumbraError(f"params.yaml: grid.morphs.{name}.per_cell = {spec.per_cell}: there are only {len(ids)} {what}. Lower it.")
    chosen = shuffled(ids, seed, f"grid/{name}")[: spec.per_cell]
    rows = {sample_id: row for row, sample_id in enumerate(table.sample_id)}
    ordered = sorted(chosen, key=rows.__getitem__)  # as they are read
    pixels = dict(zip(ordered, read_pixel_rows(path, [rows[each] for each in ordered]), strict=True))
    return [(sample_id, pixels[sample_id][:, :, 0]) for sample_id in chosen]


def _way(first: np.ndarray, second: np.ndarray, where: str) -> Way:
    try:
        return way(first, second)
    except PenumbraError as error:
        raise PenumbraError(f"{where} {error}, or leave the grid out.") from error


def _shifted(pixels: np.ndarray, spec: "Morphs", level: int, seed: int) -> np.ndarray:
    """The picture at a level of the shift, with the same noise and direction at all levels."""
    if level == 0:
        return pixels
    amount = spec.strongest * level / (spec.levels - 1)
    shifted = SHIFTS[spec.shift](pixels, amount, np.random.default_rng(seed))
    return np.clip(np.round(shifted), 0, 255).astype(np.uint8)
