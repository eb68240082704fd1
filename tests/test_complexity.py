"""The choice of images by the detail that they hold."""

import io

import numpy as np
import pytest
from PIL import Image

from penumbra.artifacts.images import ImageWriter, encode
from penumbra.complexity import bytes_per_pixel, most_detailed


def test_bytes_are_those_of_a_jpeg_by_the_number_of_pixels(tmp_path):
    draws = np.random.default_rng(0)
    images = [draws.integers(0, 256, (12, 16, 3), np.uint8), np.zeros((12, 16, 3), np.uint8)]
    with ImageWriter(tmp_path / "images.parquet", {}, {}) as writer:
        for image in images:
            writer.add(encode(image))
    counted = bytes_per_pixel(tmp_path / "images.parquet")
    for image, value in zip(images, counted, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=75)
        assert value == pytest.approx(buffer.getbuffer().nbytes / 192)
    assert counted[0] > counted[1]


def test_bytes_are_compared_as_numbers_and_ties_go_by_sample_id():
    names, values = ["b", "d", "a", "e", "c"], [9.5, 10.5, 9.5, 9e-5, 9.5]
    assert [names[row] for row in most_detailed(values, names, [0] * 5, 2)] == ["d", "a"]
    assert most_detailed(values, names, [0] * 5, None) == [0, 1, 2, 3, 4]
    assert most_detailed([*values, 1.0, 2.0], [*names, "f", "g"], [*[0] * 5, 1, 2], 1) == [1, 5, 6]
