"""Covariate shifts grow with their strength and belong to the image."""

import numpy as np
import pytest
from PIL import Image

from penumbra.prepare.shift import SHIFTS, blur, contrast, noise, rotation, shifts

STRONGEST = {"rotation": 60, "blur": 0.08, "contrast": 0.85, "noise": 0.5}


def picture() -> np.ndarray:
    image = Image.new("RGB", (32, 32))
    image.paste((250, 240, 230), (12, 6, 18, 26))
    return np.asarray(image)


def shifted(kind: str, source_id: str = "digits/0001") -> list[np.ndarray]:
    return [pixels for _, _, pixels in shifts(picture(), source_id, {kind: STRONGEST[kind]}, 8, 0)]


@pytest.mark.parametrize("kind", SHIFTS)
def test_distance_to_the_original_rises_with_strength(kind: str):
    distances = [float(np.square(pixels.astype(float) - picture()).mean()) for pixels in shifted(kind)]
    assert len(distances) == 8 and distances[0] > 0
    assert all(weak < strong for weak, strong in zip(distances, distances[1:], strict=False))


@pytest.mark.parametrize("kind", SHIFTS)
def test_shift_is_a_function_of_the_image_id(kind: str):
    assert all((one == two).all() for one, two in zip(shifted(kind), shifted(kind), strict=True))


def test_noise_differs_between_images_but_not_between_strengths():
    first, second = shifted("noise", "a"), shifted("noise", "b")
    assert (first[0] != second[0]).any()
    grey = np.full((32, 32, 3), 127, np.uint8)
    weak, strong = (pixels.astype(float) - 127 for _, _, pixels in shifts(grey, "a", {"noise": 0.1}, 2, 0))
    assert np.corrcoef(weak.ravel(), strong.ravel())[0, 1] > 0.999


def test_every_image_of_a_kind_turns_in_its_own_direction():
    towards = [(shifted("rotation", str(index))[-1] == shifted("rotation", "0")[-1]).all() for index in range(12)]
    assert {True, False} == {bool(same) for same in towards}


def test_amount_zero_changes_nothing():
    rng = np.random.default_rng(0)
    assert all((shift(picture(), 0, rng) == picture()).all() for shift in (rotation, blur, contrast, noise))


def test_amounts_are_what_the_parameters_say():
    rng = np.random.default_rng(0)
    grey = np.full((64, 64, 3), 127, np.uint8)
    assert abs((noise(grey, 0.1, rng) - grey).std() / 25.5 - 1) < 0.03
    assert np.allclose(contrast(picture(), 0.75, rng) - 127.5, (picture() - 127.5) / 4)
    edge = np.zeros((64, 64, 3), np.uint8)
    edge[:, 32:] = 200
    profile = np.diff(blur(edge, 0.05, rng)[32, :, 0].astype(float))
    columns = np.arange(63)
    centre = (profile * columns).sum() / profile.sum()
    assert abs(np.sqrt((profile * (columns - centre) ** 2).sum() / profile.sum()) - 3.2) < 0.4
    quarter = rotation(picture(), 90, rng)
    assert (quarter == np.rot90(picture())).all() or (quarter == np.rot90(picture(), -1)).all()
