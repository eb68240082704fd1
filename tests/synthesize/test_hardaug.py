"""Hard augmentations: what each keeps of an image, and that it breaks the rest."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penumbra.synthesize.hardaug.draw import chosen, erased, jigsaw, rotated, warped
from penumbra.synthesize.hardaug.params import HardAugmentation

ALL = ["rotate", "jigsaw", "erase", "warp"]
P = HardAugmentation(method="hardaug", per_image=1, transformations=ALL, together=2, tiles=3, erased=[0.1, 0.4], warped=0.2)
SEEDS = st.integers(0, 2**32)


def drawn(seed, height=18, width=18):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8), rng


@given(SEEDS)
def test_a_rotation_is_of_a_quarter_or_more_and_loses_no_pixel(seed):
    pixels, rng = drawn(seed)
    made = rotated(pixels, P, rng)
    assert sum(np.array_equal(np.rot90(made, back), pixels) for back in (1, 2, 3)) == 1 and not np.array_equal(made, pixels)
    wide = pixels[:10]
    np.testing.assert_array_equal(rotated(wide, P, rng), wide[::-1, ::-1])


@given(SEEDS, st.integers(2, 5))
def test_a_jigsaw_has_every_tile_at_another_place(seed, tiles):
    pixels, rng = drawn(seed, 20, 23)
    made = jigsaw(pixels, P.model_copy(update={"tiles": tiles}), rng)
    height, width = 20 // tiles, 23 // tiles
    before, after = (
        [image[r * height : (r + 1) * height, c * width : (c + 1) * width].tobytes() for r in range(tiles) for c in range(tiles)]
        for image in (pixels, made)
    )
    assert sorted(before) == sorted(after) and all(one != other for one, other in zip(before, after, strict=True))
    np.testing.assert_array_equal(made[tiles * height :], pixels[tiles * height :])
    np.testing.assert_array_equal(made[:, tiles * width :], pixels[:, tiles * width :])


@given(SEEDS)
def test_what_is_erased_is_one_box_within_its_share(seed):
    pixels, rng = drawn(seed, 40, 20)
    changed = (erased(pixels, P, rng) != pixels).any(2)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.97
    assert 0.1 * 800 * 0.8 < box < 0.4 * 800 * 1.2  # sides are whole pixels


@given(SEEDS)
def test_a_warp_takes_pixels_from_no_farther_than_its_share_of_the_side(seed):
    y, x = np.mgrid[:20, :30].astype(np.uint8)
    made = warped(np.dstack([y, x, x]), P, np.random.default_rng(seed)).astype(int)
    assert abs(made[..., 0] - y).max() <= 0.2 * 20 and abs(made[..., 1] - x).max() <= 0.2 * 30
    assert (made[..., :2] != np.dstack([y, x])).any()
    np.testing.assert_array_equal(
        warped(np.dstack([y, x, x]), P.model_copy(update={"warped": 0.0}), np.random.default_rng(seed)), np.dstack([y, x, x])
    )


@given(SEEDS)
def test_a_candidate_has_different_transformations(seed):
    names = chosen(P, np.random.default_rng(seed))
    assert len(set(names)) == 2 and set(names) <= set(ALL)
    assert sorted(chosen(P.model_copy(update={"together": 9}), np.random.default_rng(seed))) == sorted(ALL)
