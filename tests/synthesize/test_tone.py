"""Synthesised images are grey where ID images are, as PNG and as JPEG."""

import numpy as np
import pytest
from PIL import Image

from penumbra.artifacts.images import decode, encode
from penumbra.synthesize.tone import toned

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)


@pytest.mark.parametrize("jpeg", [None, 20, 75])
def test_a_grey_image_has_equal_channels_when_it_is_read_again(jpeg):
    luminance = np.asarray(Image.fromarray(PIXELS).convert("L"))
    grey = toned(PIXELS, grey=True)
    np.testing.assert_array_equal(grey, np.stack([luminance] * 3, axis=2))
    read = decode(encode(grey, jpeg))
    assert (read == read[..., :1]).all() and (jpeg or (read == grey).all())


def test_grey_stays_as_it_is_and_colours_stay_where_id_has_them():
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    np.testing.assert_array_equal(toned(grey, grey=True), grey)
    assert toned(PIXELS, grey=False) is PIXELS


def test_the_order_in_memory_stays():
    planes = np.ascontiguousarray(PIXELS.transpose(2, 0, 1)).transpose(1, 2, 0)
    assert toned(planes, grey=True).strides == planes.strides
