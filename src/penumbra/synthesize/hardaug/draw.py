"""The transformations: of uint8 images [H, W, 3] to images of the same size that show another thing, or none."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from penumbra.stage import Stage
from penumbra.synthesize.hardaug.params import HardAugmentation
from penumbra.synthesize.sources import Source
from penumbra.synthesize.varied import maker

WAVES = (1, 3)  # fewest and most waves of warp along a side


def open_blocks(stage: Stage) -> Callable[[Sequence[Source]], Iterator[dict]]:
    """What makes the rows of a block."""
    p = stage.params.synthesize[stage.item]

    def vary(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, str]]:
        names = chosen(p, rng)
        for name in names:
            pixels = TRANSFORMATIONS[name](pixels, p, rng)
        return pixels, {"transformations": " ".join(names)}

    return maker(stage, "hardaug", vary)


def chosen(p: HardAugmentation, rng: np.random.Generator) -> list[str]:
    """`together` different transformations, all of them where there are fewer, in random order."""
    return [p.transformations[place] for place in rng.permutation(len(p.transformations))[: p.together]]


def rotated(pixels: np.ndarray, p: HardAugmentation, rng: np.random.Generator) -> np.ndarray:
    """By 90, 180 or 270 degrees; an image that is no square by 180."""
    quarter = int(rng.integers(1, 4))
    return np.rot90(pixels, quarter if pixels.shape[0] == pixels.shape[1] else 2)


def jigsaw(pixels: np.ndarray, p: HardAugmentation, rng: np.random.Generator) -> np.ndarray:
    """Its tiles in another order, none where it was before; what is left over at the right and the lower border stays."""
    height, width = (side // p.tiles for side in pixels.shape[:2])
    places = [(row * height, column * width) for row in range(p.tiles) for column in range(p.tiles)]
    order = rng.permutation(len(places))  # round a ring of all tiles, each takes the place of the next
    made = pixels.copy()
    for here, there in zip(order, np.roll(order, 1), strict=True):
        (top, left), (down, right) = places[here], places[there]
        made[down : down + height, right : right + width] = pixels[top : top + height, left : left + width]
    return made


def erased(pixels: np.ndarray, p: HardAugmentation, rng: np.random.Generator) -> np.ndarray:
    """With a box of the image's shape and a share `erased` of its area filled with uniform noise."""
    root = rng.uniform(*p.erased) ** 0.5
    height, width = (min(max(round(side * root), 1), side) for side in pixels.shape[:2])
    top, left = (int(rng.integers(0, extent - side + 1)) for extent, side in zip(pixels.shape, (height, width), strict=False))
    made = pixels.copy()
    made[top : top + height, left : left + width] = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return made


def warped(pixels: np.ndarray, p: HardAugmentation, rng: np.random.Generator) -> np.ndarray:
    """Rows and columns shifted along waves across the image, by `warped` of its side at most; the nearest pixel is taken."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    shifts = []
    for across, side in ((x / width, height), (y / height, width)):
        waves, phase = int(rng.integers(WAVES[0], WAVES[1] + 1)), rng.uniform(0, 2 * np.pi)
        shifts.append(np.rint(p.warped * side * np.sin(2 * np.pi * waves * across + phase)).astype(np.int64))
    return pixels[(y + shifts[0]).clip(0, height - 1), (x + shifts[1]).clip(0, width - 1)]


TRANSFORMATIONS = {"rotate": rotated, "jigsaw": jigsaw, "erase": erased, "warp": warped}
