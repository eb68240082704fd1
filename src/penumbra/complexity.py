"""Which images hold the most detail: those for which JPEG takes the most bytes (SynOOD 3.3)."""

import os
from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from penumbra.artifacts.images import encode, iter_pixels

QUALITY = 75  # of the JPEG whose bytes are counted


def bytes_per_pixel(path: str | os.PathLike) -> NDArray[np.float64]:
    """JPEG bytes per pixel [N] of the N images of a file."""
    pixels = chain.from_iterable(iter_pixels(path))
    return np.array([len(encode(image, jpeg=QUALITY)) / (image.shape[0] * image.shape[1]) for image in pixels])


def most_detailed(complexity: Sequence[float], sample_ids: Sequence[str], labels: Sequence[Hashable], per_class: int | None) -> list[int]:
    """Rows of the images of each class with the most bytes per pixel, at most `per_class` of them (None: all), in their order.

    Bytes are compared as numbers; equal ones by sample id. (The official code sorts them as text.)

    Args:
        complexity, sample_ids, labels: [N], of the images.
    """
    classes: dict[Hashable, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        classes[label].append(row)
    ranked = (sorted(rows, key=lambda row: (-complexity[row], sample_ids[row]))[:per_class] for rows in classes.values())
    return sorted(chain.from_iterable(ranked))
