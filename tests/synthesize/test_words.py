"""OOD words: where they come from, which are left out, which may be drawn."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penumbra.errors import PenumbraError
from penumbra.synthesize.words import draw, lines, pool, text_distance, vocabulary

NAMES = ["a zero", "a One"]


def test_blank_lines_repetitions_and_id_names_are_left_out():
    assert vocabulary(["cat", "", "  ", "a one", "bee ", "A ZERO", "cat", " bee"], NAMES, "list") == ["bee", "cat"]


def test_the_order_of_the_list_does_not_matter():
    assert vocabulary(["b", "a", "c"], NAMES, "list") == vocabulary(["c", "b", "a"], NAMES, "list")


@pytest.mark.parametrize("empty", [[], ["", "  "]])
def test_an_empty_list_is_an_error_that_names_it(empty):
    with pytest.raises(PenumbraError, match=r"words\.txt: holds no words"):
        vocabulary(empty, NAMES, "words.txt")


def test_a_list_of_id_names_is_an_error():
    with pytest.raises(PenumbraError, match="all of its 2 words are names of ID classes"):
        vocabulary(["A zero", "a one"], NAMES, "words.txt")


def test_a_word_file_that_is_missing_or_not_text_is_an_error_that_names_the_parameter(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    for file in ("missing", "binary"):
        with pytest.raises(PenumbraError, match=r"synthesize\.sona\.word_file"):
            lines(tmp_path / file, "synthesize.sona.word_file")


def test_a_word_file_has_a_word_in_each_line(tmp_path):
    (tmp_path / "words").write_text("Katze\n\nMäuse \n", encoding="utf-8")
    assert vocabulary(lines(tmp_path / "words", "key"), NAMES, "words") == ["Katze", "Mäuse"]


def test_text_distance_is_one_minus_the_cosine():
    a, b = torch.tensor([[3.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 2.0], [5.0, 0.0], [-1.0, -1.0]])
    torch.testing.assert_close(text_distance(a, b), torch.tensor([[1.0, 0.0, 1 + 0.5**0.5], [1 - 0.5**0.5, 1 - 0.5**0.5, 2.0]]))


def test_close_and_far_are_the_nearest_and_the_farthest_quarter():
    distance = torch.tensor([0.5, 0.1, 0.9, 0.3, 0.7, 0.2, 0.8, 0.4])
    assert sorted(pool(distance, "close").tolist()) == [1, 5]
    assert sorted(pool(distance, "far").tolist()) == [2, 6]
    assert pool(distance, "random").tolist() == list(range(8))
    assert pool(distance, "file").tolist() == list(range(8))


@given(st.integers(1, 40), st.sampled_from(["close", "far", "random"]), st.floats(0, 1, exclude_max=True))
def test_there_is_always_a_word_to_draw(count, choice, uniform):
    candidates = pool(torch.rand(count), choice)
    assert draw(candidates, uniform) in candidates.tolist()


def test_every_candidate_is_drawn_equally_often():
    candidates = torch.tensor([7, 3, 5])
    drawn = [draw(candidates, position / 300) for position in range(300)]
    assert {word: drawn.count(word) for word in (3, 5, 7)} == {3: 100, 5: 100, 7: 100}
