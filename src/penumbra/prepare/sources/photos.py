"""Patches of the two photographs that scikit-learn ships."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image

from penumbra.prepare.record import Record, choose, take_turns
from penumbra.stage import Params

PATCH = (64, 256)  # smallest and largest side of a photograph's patch


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """Square patches, anywhere and of any scale, of the two photographs that scikit-learn ships."""
    from sklearn.datasets import load_sample_image

    classes = choose(spec.classes, ["china", "flower"], key)
    pictures = {name: load_sample_image(f"{name}.jpg") for name in classes}
    for source_id, name, own in take_turns(spec, key, seed, classes):
        yield Record(source_id, name, partial(_patch, pictures[name], own), name)


def _patch(picture: np.ndarray, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    side = int(rng.integers(PATCH[0], PATCH[1] + 1))
    top, left = (int(rng.integers(0, extent - side + 1)) for extent in picture.shape[:2])
    return Image.fromarray(picture[top : top + side, left : left + side])
