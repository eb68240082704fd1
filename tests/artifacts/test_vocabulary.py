"""Vocabularies of what is not ID: blank, repeated and ID words are left out, and a bad list is named."""

import pytest

from penumbra.artifacts.vocabulary import lines, vocabulary
from penumbra.errors import PenumbraError

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
