"""Captioned glyphs, rendered from the fonts that matplotlib ships as if scanned like the digits."""

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from penumbra.errors import PenumbraError
from penumbra.prepare.record import Record, take_turns
from penumbra.prepare.sources.digits import CELLS, from_counts
from penumbra.stage import Params

FONTS = {  # text fonts only: matplotlib's other ones hold symbols
    "DejaVuSans.ttf": "sans",
    "DejaVuSans-Bold.ttf": "bold sans",
    "DejaVuSans-Oblique.ttf": "slanted sans",
    "DejaVuSerif.ttf": "serif",
    "DejaVuSerif-Bold.ttf": "bold serif",
    "DejaVuSerif-Italic.ttf": "italic serif",
    "DejaVuSansMono.ttf": "monospace",
    "STIXGeneral.ttf": "roman",
    "STIXGeneralBol.ttf": "bold roman",
    "STIXGeneralItalic.ttf": "italic roman",
}
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
EM = 64  # font size of the first drawing
BITMAP = 32  # the digits were scanned as 32 x 32 bitmaps, then counted in blocks


@cache
def _font(file: str) -> ImageFont.FreeTypeFont:
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / file, EM, layout_engine=ImageFont.Layout.BASIC)


def _strokes(char: str, file: str, rng: np.random.Generator) -> Image.Image:
    """The glyph with a random pen, slant and rotation, cropped to its ink; mode L."""
    canvas = Image.new("L", (3 * EM, 3 * EM))
    ImageDraw.Draw(canvas).text((1.5 * EM, 1.5 * EM), char, fill=255, font=_font(file), anchor="mm", stroke_width=int(rng.integers(0, 4)))
    slant = rng.uniform(-0.25, 0.25)
    canvas = canvas.transform(canvas.size, Image.Transform.AFFINE, (1, slant, -slant * 1.5 * EM, 0, 1, 0), Image.Resampling.BILINEAR)
    canvas = canvas.rotate(rng.uniform(-12, 12), Image.Resampling.BILINEAR)
    return canvas.crop(canvas.getbbox())


def _scan(ink: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Fit the ink into a 32 x 32 bitmap with a random size and place, and count the inked dots of every 4 x 4 block."""
    height = rng.uniform(0.8, 1.0) * BITMAP
    width = min(BITMAP, ink.width / ink.height * height * rng.uniform(0.65, 0.95))
    ink = ink.resize((max(1, round(width)), max(1, round(height))), Image.Resampling.BOX)
    left = (BITMAP - ink.width) // 2 + round(rng.uniform(-0.5, 0.5) * min(4, BITMAP - ink.width))
    bitmap = Image.new("L", (BITMAP, BITMAP))
    bitmap.paste(ink, (left, int(rng.integers(0, BITMAP - ink.height + 1))))
    block = BITMAP // CELLS
    return from_counts((np.asarray(bitmap) > 127).reshape(CELLS, block, CELLS, block).sum((1, 3)))


def _caption(char: str, style: str) -> str:
    kind = f"the {SIGNS[char]} sign" if char in SIGNS else f"the letter {char}"
    return f"{kind} in {style}"


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """Letters and signs, one class per character, white on black; the font is drawn for each image.

    Raises:
        PenumbraError: a class is a digit (near-OOD images must not be seen by any model), or not one ASCII character.
    """
    if not spec.classes:
        raise PenumbraError(f"prepare.{key}.classes: list the characters to render, such as ['A', '?'].")
    for char in spec.classes:
        if char not in SIGNS and not (len(char) == 1 and char.isascii() and char.isalpha()):
            choices = f"Choose ASCII letters or any of {' '.join(SIGNS)}"
            raise PenumbraError(f"prepare.{key}.classes: {char!r} cannot be a glyph; digits are kept for ID and near-OOD. {choices}.")
    for source_id, char, own in take_turns(spec, key, seed, spec.classes):
        file = list(FONTS)[own % len(FONTS)]
        yield Record(source_id, char, partial(_render, char, file, own), _caption(char, FONTS[file]))


def _render(char: str, file: str, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return _scan(_strokes(char, file, rng), rng)
