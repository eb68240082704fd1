"""scikit-learn's handwritten digits (the test half of UCI's Optical Recognition of Handwritten Digits)."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image

from penumbra.prepare.record import Record, choose
from penumbra.stage import Params

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CELLS = 8  # the data set's pixels per side
INK = 16  # its largest value: every pixel counts the inked dots of a 4 x 4 block of a 32 x 32 scan


def from_counts(counts: np.ndarray) -> Image.Image:
    """Grey image of ink counts [8, 8] in [0, 16]."""
    return Image.fromarray(np.round(counts * (255 / INK)).astype(np.uint8))


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """The 1,797 digits, classes '0' to '9', white on black."""
    from sklearn.datasets import load_digits

    wanted = set(choose(spec.classes, [str(digit) for digit in range(10)], key))
    data = load_digits()
    for index, (counts, digit) in enumerate(zip(data.images, data.target, strict=True)):
        if str(digit) in wanted:
            yield Record(f"digits/{index:04d}", str(digit), partial(from_counts, counts), f"a handwritten digit {WORDS[digit]}")
