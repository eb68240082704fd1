"""The augmentation of CutPaste (Li et al. 2021, 3.2)."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from penumbra.stage import Stage
from penumbra.synthesize.cutpaste.params import CutPaste
from penumbra.synthesize.sources import Source
from penumbra.synthesize.varied import maker


def open_blocks(stage: Stage) -> Callable[[Sequence[Source]], Iterator[dict]]:
    """What makes the rows of a block."""
    p = stage.params.synthesize[stage.item]

    def vary(pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, float]]:
        image, area = cut_and_paste(pixels, p, rng)
        return image, {"area": area}

    return maker(stage, "cutpaste", vary)


def cut_and_paste(pixels: np.ndarray, p: CutPaste, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """An image with a jittered patch of itself at another place, uint8 [H, W, 3], and the share of it that the patch covers.

    Area and aspect are drawn as in the paper's code: the area uniformly, the aspect uniformly among flat or among tall patches.

    Args:
        pixels: uint8 [H, W, 3].
        p: parameters.
        rng: what is drawn.
    """
    height, width = patch_size(pixels.shape[:2], p, rng)
    (top, left), (down, right) = (
        [int(rng.integers(0, extent - side + 1)) for extent, side in zip(pixels.shape, (height, width), strict=False)] for _ in range(2)
    )
    patch = jittered(pixels[top : top + height, left : left + width], p.jitter, rng)
    made = pixels.copy()
    made[down : down + height, right : right + width] = patch
    return made, height * width / (pixels.shape[0] * pixels.shape[1])


def patch_size(size: tuple[int, int], p: CutPaste, rng: np.random.Generator) -> tuple[int, int]:
    """Height and width of the patch in pixels: 1 at least, the image at most."""
    area = rng.uniform(*p.area) * size[0] * size[1]
    aspect = rng.uniform(p.aspect, 1) if rng.random() < 0.5 else rng.uniform(1, 1 / p.aspect)
    return tuple(
        min(max(round(side), 1), extent) for side, extent in zip(((area * aspect) ** 0.5, (area / aspect) ** 0.5), size, strict=True)
    )


def jittered(patch: np.ndarray, jitter: float, rng: np.random.Generator) -> np.ndarray:
    """The patch with its brightness and its contrast (about its mean grey) times 1 - jitter to 1 + jitter; uint8."""
    brightness, contrast = rng.uniform(1 - jitter, 1 + jitter, 2)
    values = patch.astype(np.float64) * brightness
    mean = values.mean()
    return np.clip(np.round(mean + (values - mean) * contrast), 0, 255).astype(np.uint8)
