"""equip@RECIPE: a recipe with what it needs beside images and outliers, in one folder.

A detector names its recipe, and dvc.yaml knows no more of it than the name. So what a recipe needs (nothing, a classifier, round
trips of ID images, CLIP) lies together under that name, and one line of params.yaml is a detector, whatever its recipe.
"""

import os
import shutil
from pathlib import Path

from penumbra.artifacts.files import replace
from penumbra.artifacts.tables import write_json
from penumbra.stage import Stage


def main(stage: Stage) -> None:
    """Write data/recipes/RECIPE: recipe.json, and the files that the stage reads, laid out as below data/."""
    recipe = stage.params.train.recipes[stage.item]
    with replace(stage.write()) as folder:
        folder.mkdir()
        write_json(folder / "recipe.json", recipe.model_dump())
        for path in stage.reads.values():
            place(path, folder / path.relative_to("data"))


def place(source: Path, target: Path) -> None:
    """The same file or folder at another place: a second name where the disk allows it, else a copy; never a link to its place."""
    for file in [path for path in source.rglob("*") if path.is_file() and not path.name.startswith(".")] if source.is_dir() else [source]:
        copy = target / file.relative_to(source) if source.is_dir() else target
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file.resolve(), copy)
        except OSError:
            shutil.copyfile(file, copy)
