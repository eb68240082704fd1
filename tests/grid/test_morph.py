"""Morphs: the ends are the pictures themselves, what lies between is one shape that moves, and empty pictures are no trap."""

import numpy as np
import pytest

from penumbra.errors import PenumbraError
from penumbra.grid.morph import MOST, way


def bar(left: int, width: int = 4, bright: int = 255) -> np.ndarray:
    picture = np.zeros((32, 32), np.uint8)
    picture[6:26, left : left + width] = bright
    return picture


def test_the_ends_are_the_pictures():
    rng = np.random.default_rng(0)
    first, second = (np.zeros((32, 32), np.uint8) for _ in range(2))
    first[4:12, 2:14] = rng.integers(0, 256, (8, 12))
    second[10:31, 20:26] = rng.integers(0, 256, (21, 6))
    between = way(first, second)
    np.testing.assert_array_equal(between.at(0), first)
    np.testing.assert_array_equal(between.at(1), second)


@pytest.mark.parametrize(("share", "left"), [(0.25, 9), (0.5, 12), (1, 18)])
def test_a_bar_moves_and_the_two_do_not_shine_through_one_another(share, left):
    """Even where they do not overlap: what lies between is one bar, as bright and as wide, further along."""
    np.testing.assert_array_equal(way(bar(6), bar(18)).at(share), bar(left))


def test_a_morph_to_itself_is_itself_all_the_way():
    between = way(bar(9, bright=90), bar(9, bright=90))
    for share in (0, 0.3, 1):
        np.testing.assert_array_equal(between.at(share), bar(9, bright=90))


def test_ink_grows_evenly_into_more_of_it_and_spreads():
    between = way(bar(15, 2), bar(9, 14))
    pictures = [between.at(share).astype(float) for share in np.linspace(0, 1, 8)]
    amounts = np.array([picture.sum() for picture in pictures])
    np.testing.assert_allclose(amounts, np.linspace(2, 14, 8) * 20 * 255, rtol=0.15)  # what is more than white is cut off
    widths = [(picture.sum(axis=0) > 0).sum() for picture in pictures]
    assert widths == sorted(widths) and widths[0] == 2 and widths[-1] == 14


def test_the_shortest_way_is_taken():
    """Two dots each go to the dot beside them, not across."""
    first, second = (np.zeros((32, 32), np.uint8) for _ in range(2))
    first[5, 5] = first[25, 5] = second[5, 15] = second[25, 15] = 200
    half = way(first, second).at(0.5)
    assert sorted(map(tuple, np.argwhere(half))) == [(5, 10), (25, 10)] and half[5, 10] == 200


@pytest.mark.parametrize("empty_first", [True, False])
def test_a_picture_without_ink_fades(empty_first):
    empty = np.zeros((32, 32), np.uint8)
    pictures = (empty, bar(10)) if empty_first else (bar(10), empty)
    between = way(*pictures)
    np.testing.assert_array_equal(between.at(0), pictures[0])
    np.testing.assert_array_equal(between.at(1), pictures[1])
    assert between.at(0.5).max() == 128
    assert not way(empty, empty).at(0.5).any()


def test_a_picture_that_shows_no_strokes_is_refused():
    with pytest.raises(PenumbraError, match=f"has 1024 bright pixels, and a morph is between strokes of {MOST} at most"):
        way(bar(10), np.full((32, 32), 9, np.uint8))
