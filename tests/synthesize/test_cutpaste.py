"""CutPaste: what a candidate keeps of its image and what it does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penumbra.synthesize.cutpaste.draw import cut_and_paste, jittered, patch_size
from penumbra.synthesize.cutpaste.params import CutPaste

P = CutPaste(method="cutpaste", per_image=1, area=[0.02, 0.15], aspect=0.3, jitter=0.1)


@given(st.integers(0, 2**32), st.integers(8, 40), st.integers(8, 40))
def test_outside_the_patch_nothing_changes_and_the_patch_is_of_the_image(seed, height, width):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    made, area = cut_and_paste(pixels, P.model_copy(update={"jitter": 0.0}), np.random.default_rng(seed))
    changed = (made != pixels).any(2)
    assert made.shape == pixels.shape and made.dtype == np.uint8
    assert changed.sum() <= round(area * height * width)  # random pixels at another place: hardly one is equal by chance
    assert set(map(tuple, made.reshape(-1, 3))) <= set(map(tuple, pixels.reshape(-1, 3)))


@given(st.integers(0, 2**32))
def test_sizes_of_patches_are_the_papers(seed):
    height, width = patch_size((1000, 1000), P, np.random.default_rng(seed))
    assert 0.019 <= height * width / 1e6 <= 0.151 and 0.29 <= min(height, width) / max(height, width) <= 1


def test_patches_are_flat_as_often_as_tall():
    sizes = [patch_size((1000, 1000), P, np.random.default_rng(seed)) for seed in range(400)]
    assert 160 < sum(height < width for height, width in sizes) < 240


def test_jitter_stays_within_its_share():
    patch = np.full((4, 4, 3), 100, np.uint8)
    means = [jittered(patch, 0.1, np.random.default_rng(seed)).mean() for seed in range(50)]
    assert 90 <= min(means) < 95 and 105 < max(means) <= 110
    assert (jittered(patch, 0.0, np.random.default_rng(0)) == patch).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_same_seed_gives_the_same_image(seed):
    pixels = np.random.default_rng(9).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    first, second = (cut_and_paste(pixels, P, np.random.default_rng(seed))[0] for _ in range(2))
    assert (first == second).all()
