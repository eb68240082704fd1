"""Any image to one square of RGB pixels, or a reason why not."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from penumbra.prepare.record import Record, Unusable

FORMATS = ("PNG", "JPEG", "JPEG2000", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # rasters only: Pillow would run Ghostscript on EPS
MAX_PIXELS = 89_478_485  # where Pillow starts to warn of a decompression bomb; beyond it nothing is decoded
SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L", "I;16N")


def read_file(path: Path) -> Image.Image:
    """Open an image file; its pixels are not decoded yet.

    Raises:
        Unusable: the file is missing, empty, not an image or absurdly large.
    """
    if not path.is_file():
        raise Unusable("missing file")
    if path.stat().st_size == 0:
        raise Unusable("empty file")
    try:
        image = Image.open(path, formats=FORMATS)
    except Image.UnidentifiedImageError as error:
        raise Unusable("not an image") from error
    except Image.DecompressionBombError as error:
        raise Unusable(f"absurd size: {error}") from error
    if image.width * image.height > MAX_PIXELS:
        raise Unusable(f"absurd size: {image.width} x {image.height} pixels")
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Upright RGB of an image of any mode; transparency is composited on black.

    16-bit grey is scaled linearly (65535 is white). Animations give their first frame.

    Raises:
        Unusable: float or 32-bit pixels, which have no agreed white.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode in SIXTEEN_BIT:
        values = np.asarray(image, dtype=np.float32)
        if values.min() < 0 or values.max() > 65535:
            raise Unusable("32-bit pixels, which have no agreed white")
        return Image.fromarray(np.round(values / 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise Unusable("float pixels, which have no agreed white")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
    return image.convert("RGB")


def to_square(image: Image.Image, size: int) -> Image.Image:
    """The central square of an image, resized bicubically (with antialiasing) to `size` x `size`.

    The same as resizing the shorter side and cropping the centre, without the intermediate image, which a strip of
    1 x 50,000 pixels would make huge.
    """
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def load_pixels(record: Record, size: int) -> np.ndarray | Unusable:
    """uint8 pixels [size, size, 3] of a record, or why there are none."""
    try:
        with record.load() as image:
            return np.asarray(to_square(to_rgb(image), size))
    except Unusable as reason:
        return reason
    except MemoryError:
        return Unusable("does not fit into memory")
    except Exception as error:  # readers of damaged files raise nearly anything: OSError, SyntaxError, struct.error, ...
        return Unusable(f"unreadable: {error}")
