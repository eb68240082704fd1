"""Rendered textures of two colours."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from PIL import Image

from penumbra.prepare.record import Record, choose, take_turns
from penumbra.stage import Params

SIDE = 64  # pixels of a side before it is brought to the size of the experiment


def _two_colours(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blend two random colours, at least a third of the range apart, by a mask [H, W] in [0, 1]; float [H, W, 3] in [0, 255]."""
    dark, light = rng.uniform(0, 85, 3), rng.uniform(170, 255, 3)
    swap = rng.random(3) < 0.5
    first, second = np.where(swap, dark, light), np.where(swap, light, dark)
    return first + mask[..., None] * (second - first)


def _rotated_grid(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates [SIDE, SIDE] of a grid in a random direction and phase, in periods of 2 pi."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(SIDE / 10, SIDE / 3)
    y, x = np.mgrid[:SIDE, :SIDE] * (2 * np.pi / period)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return u + rng.uniform(0, 2 * np.pi), v + rng.uniform(0, 2 * np.pi)


def _checkerboard(rng: np.random.Generator) -> np.ndarray:
    u, v = _rotated_grid(rng)
    return (np.sin(u) * np.sin(v) > 0).astype(float)


def _stripes(rng: np.random.Generator) -> np.ndarray:
    u, _ = _rotated_grid(rng)
    return 0.5 + 0.5 * np.sin(u)


def _dots(rng: np.random.Generator) -> np.ndarray:
    u, v = _rotated_grid(rng)
    return (np.cos(u) + np.cos(v) > rng.uniform(0.4, 1.2)).astype(float)


def _clouds(rng: np.random.Generator) -> np.ndarray:
    """Value noise: octaves of smoothly enlarged random grids, each finer one weaker."""
    total = np.zeros((SIDE, SIDE))
    for octave, cells in enumerate((3, 6, 12, 24)):
        grid = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
        total += np.asarray(grid.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) * 0.6**octave
    return (total - total.min()) / (total.max() - total.min())


TEXTURES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "checkerboard": _checkerboard,
    "stripes": _stripes,
    "dots": _dots,
    "clouds": _clouds,
}


def _texture(name: str, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(np.round(_two_colours(TEXTURES[name](rng), rng)).astype(np.uint8))


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """Two-coloured checkerboards, stripes, dots and clouds in random scale and direction."""
    classes = choose(spec.classes, list(TEXTURES), key)
    for source_id, name, own in take_turns(spec, key, seed, classes):
        yield Record(source_id, name, partial(_texture, name, own), f"a texture of {name}")
