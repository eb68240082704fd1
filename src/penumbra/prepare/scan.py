"""Drawn characters as MNIST's were scanned: LeCun et al. 1998, 3: a 20 x 20 box, grey levels by antialiasing, centred by mass."""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

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
EM = 64  # font size of the drawing
BOX, FRAME = 20, 28  # pixels of a side: of the box that the ink fills, of MNIST's images
SIDE = 32  # of the padded images


def padded(grey: np.ndarray) -> Image.Image:
    """uint8 [28, 28] in the middle of a black image [32, 32]: no pixel is resampled."""
    edge = (SIDE - FRAME) // 2
    return Image.fromarray(np.pad(grey, edge))


def drawn(char: str, number: int, rng: np.random.Generator) -> Image.Image:
    """A character in the font of a number, with a random pen, slant and rotation, as a scan of MNIST; mode L, 32 x 32."""
    return _scanned(_strokes(char, list(FONTS)[number % len(FONTS)], rng))


def style(number: int) -> str:
    """What the font of a number is called in captions."""
    return list(FONTS.values())[number % len(FONTS)]


@cache
def _font(file: str) -> ImageFont.FreeTypeFont:
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / file, EM, layout_engine=ImageFont.Layout.BASIC)


def _strokes(char: str, file: str, rng: np.random.Generator) -> Image.Image:
    """The glyph cropped to its ink; mode L."""
    canvas = Image.new("L", (3 * EM, 3 * EM))
    ImageDraw.Draw(canvas).text((1.5 * EM, 1.5 * EM), char, fill=255, font=_font(file), anchor="mm", stroke_width=int(rng.integers(0, 4)))
    slant = rng.uniform(-0.25, 0.25)
    canvas = canvas.transform(canvas.size, Image.Transform.AFFINE, (1, slant, -slant * 1.5 * EM, 0, 1, 0), Image.Resampling.BILINEAR)
    canvas = canvas.rotate(rng.uniform(-12, 12), Image.Resampling.BILINEAR)
    return canvas.crop(canvas.getbbox())


def _scanned(ink: Image.Image) -> Image.Image:
    scale = BOX / max(ink.size)
    grey = np.asarray(ink.resize([max(1, round(side * scale)) for side in ink.size], Image.Resampling.BOX))
    frame = np.zeros((FRAME, FRAME), np.uint8)
    mass = grey.sum(dtype=float)
    corner = []
    for axis, extent in enumerate(grey.shape):
        centre = (grey.sum(axis=1 - axis) * (np.arange(extent) + 0.5)).sum() / mass
        corner.append(int(np.clip(round(FRAME / 2 - centre), 0, FRAME - extent)))
    frame[corner[0] : corner[0] + grey.shape[0], corner[1] : corner[1] + grey.shape[1]] = grey
    return padded(frame)
