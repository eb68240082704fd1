"""Printed digits in the fonts that matplotlib ships: what a model of images and texts has seen of digits that are not ID."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image

from penumbra.prepare.record import Record, choose, take_turns
from penumbra.prepare.scan import drawn, style
from penumbra.prepare.sources.digits import WORDS
from penumbra.stage import Params


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """Classes '0' to '9', white on black; the font is drawn for each image."""
    for source_id, digit, own in take_turns(spec, key, seed, choose(spec.classes, [str(digit) for digit in range(10)], key)):
        yield Record(source_id, digit, partial(_render, digit, own), f"a printed digit {WORDS[int(digit)]} in {style(own)}")


def _render(digit: str, seed: int) -> Image.Image:
    return drawn(digit, seed, np.random.default_rng(seed))
