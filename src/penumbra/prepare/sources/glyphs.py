"""Captioned letters and signs in the fonts that matplotlib ships, as if scanned like MNIST."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image

from penumbra.errors import PenumbraError
from penumbra.prepare.record import Record, take_turns
from penumbra.prepare.scan import drawn, style
from penumbra.stage import Params

SIGNS = {
    "$": "dollar",
    "&": "ampersand",
    "#": "hash",
    "?": "question",
    "+": "plus",
    "%": "percent",
    "@": "at",
    "!": "exclamation",
    "=": "equals",
}


def _caption(char: str, font: str) -> str:
    if char in SIGNS:
        return f"the {SIGNS[char]} sign in {font}"
    return f"the {'small ' if char.islower() else ''}letter {char.upper()} in {font}"


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """Letters and signs, one class per character, white on black; the font is drawn for each image.

    Raises:
        PenumbraError: a class is a digit (glyphs teach generators, which see no near-OOD class), or not one ASCII character.
    """
    if not spec.classes:
        raise PenumbraError(f"prepare.{key}.classes: list the characters to render, such as ['A', '?'].")
    for char in spec.classes:
        if char not in SIGNS and not (len(char) == 1 and char.isascii() and char.isalpha()):
            choices = f"Choose ASCII letters or any of {' '.join(SIGNS)}"
            raise PenumbraError(f"prepare.{key}.classes: {char!r} cannot be a glyph; digits are the sources mnist and printed. {choices}.")
    for source_id, char, own in take_turns(spec, key, seed, spec.classes):
        yield Record(source_id, char, partial(_render, char, own), _caption(char, style(own)))


def _render(char: str, seed: int) -> Image.Image:
    return drawn(char, seed, np.random.default_rng(seed))
