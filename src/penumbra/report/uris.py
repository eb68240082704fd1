"""Pictures as addresses, so that the page holds them all, and small."""

import base64
import io

import numpy as np
from markupsafe import Markup
from PIL import Image

KEPT = (("%", "%25"), ("#", "%23"), ("&", "%26"), ("'", "%27"), ("\n", " "))  # what an address, HTML and the quotes around it would take


def lean(png: bytes) -> bytes:
    """The same pixels as a smaller PNG: without transparency where there is none, and in grey where they are."""
    image = Image.open(io.BytesIO(png))
    pixels = np.asarray(image.convert("RGBA"))
    if (pixels[..., 3] < 255).any():
        return png
    grey, buffer = (pixels[..., :3] == pixels[..., :1]).all(), io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[..., 0] if grey else pixels[..., :3])).save(buffer, "png", optimize=True)
    return min(png, buffer.getvalue(), key=len)


def picture(image: bytes) -> str:
    """A data URI of an image that is PNG or JPEG, as its first bytes say."""
    jpeg = image.startswith(b"\xff\xd8")
    return f"data:image/{'jpeg' if jpeg else 'png'};base64,{base64.b64encode(image if jpeg else lean(image)).decode()}"


def drawing(svg: bytes) -> Markup:
    """A data URI of an SVG, for an attribute between single quotes: as text it is a quarter smaller than in base64."""
    text = svg.decode()
    for sign, code in KEPT:
        text = text.replace(sign, code)
    return Markup(f"data:image/svg+xml,{text}")
