"""Covariate shifts: the same object under other conditions, in rising strengths.

A shift takes uint8 pixels [H, W, 3], an amount and the image's own random generator, and returns pixels in about [0, 255]. The
same generator state for all strengths of an image makes them one scene: the same direction, the same noise pattern, only more.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from PIL import Image, ImageFilter

from penumbra.seeds import derive

Shift = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def rotation(pixels: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Rotate about the centre, clockwise or counter-clockwise; the border's median colour fills the corners."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    fill = tuple(int(value) for value in np.median(border, axis=0))
    image = Image.fromarray(pixels).rotate(degrees * rng.choice([-1, 1]), Image.Resampling.BICUBIC, fillcolor=fill)
    return np.asarray(image)


def blur(pixels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian blur with a standard deviation of `share` of the image's side."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(share * len(pixels))))


def contrast(pixels: np.ndarray, loss: float, rng: np.random.Generator) -> np.ndarray:
    """Draw every pixel towards mid-grey; a loss of 1 leaves nothing."""
    return 127.5 + (pixels - 127.5) * (1 - loss)


def noise(pixels: np.ndarray, std: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise; `std` in units of the full range."""
    return pixels + 255 * std * rng.standard_normal(pixels.shape)


SHIFTS: dict[str, Shift] = {"rotation": rotation, "blur": blur, "contrast": contrast, "noise": noise}


def shifts(
    pixels: np.ndarray, source_id: str, strongest: Mapping[str, float], strengths: int, seed: int
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Every kind in every strength k = 1..K, at k/K of the strongest amount.

    Args:
        pixels: uint8 [H, W, 3].
        strongest: kind -> amount at strength K.

    Yields:
        kind, strength, uint8 pixels [H, W, 3].
    """
    for kind, amount in strongest.items():
        for strength in range(1, strengths + 1):
            rng = np.random.default_rng(derive(seed, "prepare/shift", kind, source_id))
            shifted = SHIFTS[kind](pixels, amount * strength / strengths, rng)
            yield kind, strength, np.clip(np.round(shifted), 0, 255).astype(np.uint8)
