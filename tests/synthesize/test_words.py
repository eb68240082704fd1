"""OOD words: how far they are from an ID name, which may be drawn."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from penumbra.synthesize.sona.words import draw, pool, text_distance


def test_text_distance_is_one_minus_the_cosine():
    a, b = torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 2.0], [5.0, 0.0], [-1.0, -1.0]])
    torch.testing.assert_close(text_distance(a, b), torch.tensor([[1.0, 0.0, 1 + 0.5**0.5], [1 - 0.5**0.5, 1 - 0.5**0.5, 2.0]]))


def test_close_and_far_are_the_nearest_and_the_farthest_quarter():
    distance = torch.tensor([0.5, 0.1, 0.9, 0.3, 0.7, 0.2, 0.8, 0.4])
    assert sorted(pool(distance, "close").tolist()) == [1, 5]
    assert sorted(pool(distance, "far").tolist()) == [2, 6]
    assert pool(distance, "random").tolist() == list(range(8))


@given(st.integers(1, 40), st.sampled_from(["close", "far", "random"]), st.floats(0, 1, exclude_max=True))
def test_there_is_always_a_word_to_draw(count, choice, uniform):
    candidates = pool(torch.rand(count), choice)
    assert draw(candidates, uniform) in candidates.tolist()


def test_every_candidate_is_drawn_equally_often():
    candidates = torch.tensor([7, 3, 5])
    drawn = [draw(candidates, position / 300) for position in range(300)]
    assert {word: drawn.count(word) for word in (3, 5, 7)} == {3: 100, 5: 100, 7: 100}
