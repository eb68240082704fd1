"""Faces of a few strokes: a circle, two eyes and a mouth that smiles or does not."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from penumbra.prepare.record import Record, choose, take_turns
from penumbra.stage import Params


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """Classes `glad` and `sad`, as many images as `limit`."""
    for source_id, mood, own in take_turns(spec, key, seed, choose(spec.classes, ["glad", "sad"], key)):
        yield Record(source_id, mood, partial(_drawn, mood, own), f"a {mood} face")


def _drawn(mood: str, seed: int) -> Image.Image:
    canvas, shift = Image.new("L", (64, 64)), int(np.random.default_rng(seed).integers(-6, 7))
    pen = ImageDraw.Draw(canvas)
    pen.ellipse((8, 8, 56, 56), outline=255, width=3)
    for eye in (24, 40):
        pen.ellipse((eye - 3 + shift // 3, 22, eye + 3 + shift // 3, 28), fill=255)
    pen.arc((20 + shift, 30, 44 + shift, 48), *((20, 160) if mood == "glad" else (200, 340)), fill=255, width=3)
    return canvas
