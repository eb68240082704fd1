"""Pictures as addresses, so that the page holds them all."""

import base64

from markupsafe import Markup

KEPT = (("%", "%25"), ("#", "%23"), ("&", "%26"), ("'", "%27"), ("\n", " "))  # what an address, HTML and the quotes around it would take


def picture(image: bytes) -> str:
    """A data URI of an image that is PNG or JPEG, as its first bytes say."""
    kind = "image/jpeg" if image.startswith(b"\xff\xd8") else "image/png"
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"


def drawing(svg: bytes) -> Markup:
    """A data URI of an SVG, for an attribute between single quotes: as text it is a quarter smaller than in base64."""
    text = svg.decode()
    for sign, code in KEPT:
        text = text.replace(sign, code)
    return Markup(f"data:image/svg+xml,{text}")
