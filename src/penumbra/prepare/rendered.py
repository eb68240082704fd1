"""Far-OOD images that need no download: patches of photographs, rendered textures, noise."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from PIL import Image

from penumbra.errors import PenumbraError
from penumbra.prepare.record import Record, choose
from penumbra.seeds import derive
from penumbra.stage import Params

SIDE = 64  # textures and noise are rendered at this side
PATCH = (64, 256)  # smallest and largest side of a photograph's patch


def take_turns(spec: Params, key: str, seed: int, classes: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """Source id, class and seed of `spec.limit` images to render; the classes take turns."""
    if spec.limit is None:
        raise PenumbraError(f"prepare.{key}.limit: null, but this source is rendered and never ends. Give a number.")
    for index in range(spec.limit):
        name = classes[index % len(classes)]
        source_id = f"{spec.source}/{name}/{index:05d}"
        yield source_id, name, derive(seed, "prepare", key, source_id)


def photos(spec: Params, key: str, seed: int) -> Iterator[Record]:
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


def textures(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """Two-coloured checkerboards, stripes, dots and clouds in random scale and direction."""
    classes = choose(spec.classes, list(TEXTURES), key)
    for source_id, name, own in take_turns(spec, key, seed, classes):
        yield Record(source_id, name, partial(_texture, name, own), f"a texture of {name}")


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


def noise(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """Images without any object: Gaussian, uniform, and salt and pepper noise."""
    classes = choose(spec.classes, list(NOISES), key)
    for source_id, name, own in take_turns(spec, key, seed, classes):
        yield Record(source_id, name, partial(_noise, name, own), f"{name} noise")
