"""data/recipes/RECIPE: a recipe, and what it needs beside images and outliers, laid out as below data/."""

import os
from pathlib import Path
from typing import Any

from penumbra.artifacts.tables import read_json
from penumbra.errors import PenumbraError

NAME = "recipe.json"


def read_recipe(folder: str | os.PathLike) -> Any:
    """The recipe as it is written; `train.losses.typed` gives it its type.

    Raises:
        PenumbraError: the folder is not what equip writes.
    """
    try:
        return read_json(Path(folder) / NAME)
    except (OSError, ValueError) as error:
        raise PenumbraError(f"{folder}: holds no recipe ({str(error).splitlines()[0]}). Run `dvc repro` to make it again.") from error


def contents(folder: str | os.PathLike) -> dict[str, Path]:
    """What the recipe needs, by the names that it has below data/: "models/classifier", "features/clip", "controls/repainting"."""
    found = {}
    for path in sorted(Path(folder).glob("*/*")):
        found[path.relative_to(folder).with_suffix("").as_posix()] = path
    return found
