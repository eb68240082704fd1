"""The tone of synthesised images: theirs, or grey where ID images are grey."""

import numpy as np

LUMINANCE = np.array([19595, 38470, 7471])  # of red, green and blue in 1/65536 (ITU-R BT.601), as Pillow's convert("L") rounds it


def toned(pixels: np.ndarray, grey: bool) -> np.ndarray:
    """The pixels themselves, or their luminance in three equal channels; in the same order in memory.

    Whoever measures an image measures it after this, as it is saved. JPEG keeps equal channels equal.

    Args:
        pixels: uint8 [..., 3].
        grey: `common.grey`. A generator colours grey images slightly, and that alone would tell outliers from them.
    """
    if not grey:
        return pixels
    made = np.empty_like(pixels)
    made[...] = (pixels @ LUMINANCE + 2**15 >> 16)[..., None]
    return made
