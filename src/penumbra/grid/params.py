"""Parameters of grid: grids of images by name, and the detectors that score them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le
from pydantic import AfterValidator

from penumbra.prepare.params import ShiftKind
from penumbra.values import Count, Fault, Item, Names, Positive, Section, Text, distinct

if TYPE_CHECKING:
    from penumbra.experiment.schema import Experiment


class Morphs(Section):
    """ID test images on their way to images of other classes, under a rendered shift."""

    novel: Names
    levels: Annotated[int, Ge(2), Le(64)]
    shift: ShiftKind
    strongest: Positive
    per_cell: Count


class Folder(Section):
    """SynIS, or another folder with a sub-folder for each cell."""

    path: Text | None
    per_cell: Count | None


class Grid(Section):
    morphs: dict[Item, Morphs]
    folder: dict[Item, Folder]
    detectors: Annotated[list[Text], AfterValidator(distinct)]


def faults(experiment: "Experiment") -> Iterator[Fault]:
    """Grids that cannot be made, and detectors that cannot score them."""
    grid, prepare, detectors = experiment.grid, experiment.prepare, experiment.train.detectors
    for name, morphs in grid.morphs.items():
        if unknown := [each for each in morphs.novel if each not in {**prepare.near, **prepare.far}]:
            yield f"grid.morphs.{name}.novel", f"must name sets of prepare.near or prepare.far; there is no {', '.join(unknown)}"
        if not experiment.common.grey:
            yield f"grid.morphs.{name}", "must be left out where images have colours (common.grey): a morph is between bright shapes"
    for name, folder in grid.folder.items():
        if folder.path is None:
            yield f"grid.folder.{name}.path", "must be the folder with a sub-folder cov_C_sem_S for each cell"
    for kind in ("morphs", "folder"):
        for name in grid[kind]:
            if name in detectors or kind == "folder" and name in grid.morphs:
                yield f"grid.{kind}.{name}", "must have a name of its own: a detector or another grid has it"
    networks = [name for name, each in detectors.items() if getattr(experiment.recipes.get(each.recipe), "detector", "") == "network"]
    if unknown := [name for name in grid.detectors if name not in networks]:
        yield "grid.detectors", f"must be networks of train.detectors ({', '.join(networks)}); there is no {', '.join(unknown)}"
    if grid.detectors and not (grid.morphs or grid.folder):
        yield "grid.morphs", "must have an entry, or grid.folder, since grid.detectors names detectors"
