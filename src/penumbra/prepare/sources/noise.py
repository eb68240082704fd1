"""Noise: images without any object."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from PIL import Image

from penumbra.prepare.record import Record, choose, take_turns
from penumbra.stage import Params

SIDE = 64  # pixels of a side before it is brought to the size of the experiment


def _gaussian(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(rng.uniform(64, 192), rng.uniform(32, 96), (SIDE, SIDE, 3))


def _uniform(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0, 255, (SIDE, SIDE, 3))


def _salt_pepper(rng: np.random.Generator) -> np.ndarray:
    grains = rng.random((SIDE, SIDE, 1)) < rng.uniform(0.05, 0.5)
    return np.where(grains, 255 * rng.integers(0, 2, (SIDE, SIDE, 1)), 127) * np.ones(3)


NOISES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {"gaussian": _gaussian, "uniform": _uniform, "salt-pepper": _salt_pepper}


def _noise(name: str, seed: int) -> Image.Image:
    pixels = NOISES[name](np.random.default_rng(seed))
    return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """Images without any object: Gaussian, uniform, and salt and pepper noise."""
    classes = choose(spec.classes, list(NOISES), key)
    for source_id, name, own in take_turns(spec, key, seed, classes):
        yield Record(source_id, name, partial(_noise, name, own), f"{name} noise")
