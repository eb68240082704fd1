"""Where data/detectors/DETECTOR keeps what."""

import os
from pathlib import Path

from penumbra.errors import PenumbraError


def saved_seeds(directory: str | os.PathLike) -> dict[int, Path]:
    """The folder of each training seed in data/detectors/DETECTOR, smallest seed first.

    Raises:
        PenumbraError: there is none.
    """
    seeds = {int(path.name.removeprefix("seed-")): path for path in Path(directory).glob("seed-*")}
    if not seeds:
        raise PenumbraError(f"{directory}: holds no seed-* folder. Run `dvc repro` to make it again.")
    return dict(sorted(seeds.items()))
