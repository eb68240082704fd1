"""Negative labels: the farthest words of a vocabulary, as NegMining defines it, in an order that is fixed."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penumbra.artifacts.images import ImageWriter, encode
from penumbra.artifacts.negatives import read_negatives
from penumbra.errors import PenumbraError
from penumbra.extract import mining, negatives
from penumbra.extract.mining import candidates, closeness, mined, wordnet
from penumbra.extract.negatives import main
from penumbra.models.clip import Clip
from penumbra.stage import Params, Stage
from tiny_clip import write_tiny_clip

NAMES = ["cat", "Dog", "cow"]
WORLD = ["letter C bold", "letter C", "Cat", "sea", "", "letter G", "rock", "sea", "dog", "moon"]
PARAMS = {
    "vocabulary": "world",
    "path": None,
    "id_prompt": "a {}",
    "noun_prompt": "the {}",
    "adjective_prompt": "is {} so",
    "mcm_prompt": "of a {}",
    "quantile": 0.95,
    "share": 0.5,
}


@given(seed=st.integers(0, 99), classes=st.integers(1, 9), count=st.integers(1, 20), quantile=st.floats(0, 1))
def test_closeness_is_numpys_quantile_of_the_cosines(seed, classes, count, quantile):
    draws = np.random.default_rng(seed)
    words, labels = draws.normal(size=(count, 5)), draws.normal(size=(classes, 5))
    found = closeness(torch.from_numpy(words), torch.from_numpy(labels), quantile)
    for word, near in zip(words, found.tolist(), strict=True):
        cosines = [word @ label / np.linalg.norm(word) / np.linalg.norm(label) for label in labels]
        assert near == pytest.approx(np.quantile(cosines, quantile, method="linear"), abs=1e-9)


def test_a_long_vocabulary_is_compared_a_part_at_a_time(monkeypatch):
    words, labels = torch.randn(23, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    whole = closeness(words, labels, 0.9)
    monkeypatch.setattr(mining, "CELLS", 15)
    torch.testing.assert_close(closeness(words, labels, 0.9), whole)


def test_the_scale_of_features_does_not_matter():
    words, labels = torch.randn(6, 4), torch.randn(3, 4)
    torch.testing.assert_close(closeness(7 * words, labels / 3, 0.5), closeness(words, labels, 0.5))


WORDS = st.lists(
    st.tuples(st.text("abc", min_size=1, max_size=3), st.sampled_from(["noun", "adjective"]), st.sampled_from([0.1, 0.2, 0.5])),
    max_size=20,
    unique_by=lambda row: row[0],
)


@given(rows=WORDS, share=st.sampled_from([0.01, 0.15, 0.5, 1.0]), order=st.randoms())
def test_a_share_of_each_kind_is_kept_the_farthest_first_whatever_the_order_of_the_list(rows, share, order):
    def names(rows):
        found = mined([(word, kind) for word, kind, _ in rows], [near for *_, near in rows], share)
        return [rows[index][0] for index in found]

    expected = []
    for wanted in ("noun", "adjective"):
        left = [(near, word) for word, kind, near in rows if kind == wanted]
        for _ in range(max(int(share * len(left)), 1) if left else 0):
            left.remove(farthest := min(left))
            expected.append(farthest[1])
    assert names(rows) == expected
    assert names(order.sample(rows, len(rows))) == expected


def test_id_names_blank_and_repeated_words_are_no_candidates():
    listed = {"moon ": "noun", "DOG": "noun", "": "noun", " moon": "adjective", "cat": "adjective", "red": "adjective"}
    assert candidates(listed, NAMES, "words.txt") == [("moon", "noun"), ("red", "adjective")]
    with pytest.raises(PenumbraError, match=r"words\.txt: all of its 2 words are names of ID classes"):
        candidates({"cat": "noun", "dog": "noun"}, NAMES, "words.txt")


def test_the_first_list_that_has_a_word_says_what_it_is(tmp_path):
    lists = {
        "noun.b.txt": "light\nrock\n",
        "adj.all.txt": "light\nred\n",
        "noun.a.txt": "sea\nred\n",
        "verb.x.txt": "go\n",
        "noun.md": "no\n",
    }
    for name, content in lists.items():
        (tmp_path / name).write_text(content)
    assert wordnet(str(tmp_path), "key") == {"light": "adjective", "red": "adjective", "sea": "noun", "rock": "noun"}


def test_a_folder_without_lists_is_an_error_that_names_the_parameter(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(PenumbraError, match=r"holds no lists .* extract\.negatives\.neglabel\.path"):
            wordnet(str(folder), "extract.negatives.neglabel.path")
    (tmp_path / "noun.all.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(PenumbraError, match=r"noun\.all\.txt: cannot be read as the words of extract\.negatives\.neglabel\.path"):
        wordnet(str(tmp_path), "extract.negatives.neglabel.path")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture
def stage(tmp_path, model):
    pixels = encode(np.zeros((4, 4, 3), np.uint8))
    with ImageWriter(tmp_path / "train.parquet", {"label": pa.int64(), "caption": pa.string()}, {"classes": NAMES}) as writer:
        for label in (2, 0, 1):
            writer.add(pixels, label=label, caption="")
    write_world(tmp_path / "world.parquet", WORLD[:1])
    write_world(tmp_path / "clip_world.parquet", WORLD[1:])
    reads = {f"images/{name}": tmp_path / f"{name}.parquet" for name in ("train", "world", "clip_world")} | {"models/clip": model}
    params = Params({"extract": {"negatives": PARAMS}})
    return Stage("extract", "negatives", params, {}, reads, {"features/negatives": tmp_path / "n.safetensors"}, tmp_path / "scratch")


def write_world(path, captions):
    with ImageWriter(path, {"caption": pa.string()}, {}) as writer:
        for caption in captions:
            writer.add(encode(np.zeros((4, 4, 3), np.uint8)), caption=caption)


def changed(stage, **changes):
    return replace(stage, params=Params({"extract": {"negatives": PARAMS | changes}}))


def test_the_file_holds_raw_features_of_id_names_and_of_the_mined_words(stage, model):
    main(stage)
    made, clip = read_negatives(stage.write()), Clip.load(model)
    assert made.id_names == NAMES
    assert made.logit_scale == clip.logit_scale
    torch.testing.assert_close(made.id, clip.embed_texts(["a cat", "a Dog", "a cow"]))
    torch.testing.assert_close(made.mcm, clip.embed_texts(["of a cat", "of a Dog", "of a cow"]))
    near = {}
    for word in ["letter C bold", "letter C", "sea", "letter G", "rock", "moon"]:
        cosines = torch.cosine_similarity(clip.embed_texts([f"the {word}"]), made.id)
        near[word] = np.quantile(cosines.numpy(), 0.95)
    farthest = sorted(near, key=near.__getitem__)[:3]
    assert [(row.word, row.prompt, row.kind) for row in made.negatives] == [(word, f"the {word}", "noun") for word in farthest]
    assert [row.closeness for row in made.negatives] == pytest.approx([near[word] for word in farthest], abs=1e-6)
    torch.testing.assert_close(made.negative, clip.embed_texts([f"the {word}" for word in farthest]))


def test_equal_vocabularies_are_equal_features_whatever_their_order(stage, tmp_path):
    main(stage)
    first = read_negatives(stage.write())
    write_world(tmp_path / "world.parquet", WORLD[::-1] * 2)
    main(stage)
    second = read_negatives(stage.write())
    assert second.negatives == first.negatives
    assert torch.equal(second.negative, first.negative)


def test_wordnets_adjectives_follow_the_nouns_in_a_prompt_of_their_own(stage, tmp_path):
    (tmp_path / "noun.all.txt").write_text("sea\nmoon\nrock\nsun\n")
    (tmp_path / "adj.all.txt").write_text("red\nwet\n")
    main(changed(stage, vocabulary="wordnet", path=str(tmp_path)))
    rows = read_negatives(stage.write()).negatives
    assert [row.kind for row in rows] == ["noun", "noun", "adjective"]
    assert [row.prompt for row in rows] == [f"the {row.word}" for row in rows[:2]] + [f"is {rows[2].word} so"]
    assert rows[0].closeness <= rows[1].closeness


def test_each_text_is_read_once_and_after_a_kill_only_those_that_are_left(stage, monkeypatch):
    monkeypatch.setattr(negatives, "BLOCK", 4)
    embed, read = Clip.embed_texts, []

    def counted(self, texts):
        if len(read) >= limit:
            raise KeyboardInterrupt
        read.append(list(texts))
        return embed(self, texts)

    monkeypatch.setattr(Clip, "embed_texts", counted)
    stage = changed(stage, mcm_prompt="a {}", share=1.0)
    limit = 1
    with pytest.raises(KeyboardInterrupt):
        main(stage)
    limit = 9
    main(stage)
    texts = [text for block in read for text in block]
    assert len(texts) == len(set(texts)) == 3 + 6
    assert len(read_negatives(stage.write()).negatives) == 6
    assert not stage.scratch_root.joinpath("extract@negatives").exists()


def test_a_vocabulary_of_id_names_is_an_error_before_any_work(stage, tmp_path):
    (tmp_path / "words.txt").write_text("CAT\ndog\n")
    with pytest.raises(PenumbraError, match=r"words\.txt: all of its 2 words are names of ID classes"):
        main(changed(stage, vocabulary="file", path=str(tmp_path / "words.txt")))
    with pytest.raises(PenumbraError, match=r"missing\.txt: cannot be read as the words of extract\.negatives\.neglabel\.path"):
        main(changed(stage, vocabulary="file", path=str(tmp_path / "missing.txt")))


def test_classes_that_have_numbers_for_names_are_told(stage, tmp_path, capsys):
    main(stage)
    assert "warning" not in capsys.readouterr().err
    with ImageWriter(
        tmp_path / "train.parquet", {"label": pa.int64(), "caption": pa.string()}, {"classes": ["7", "n01440764", "U2 car"]}
    ) as writer:
        for label in range(3):
            writer.add(encode(np.zeros((4, 4, 3), np.uint8)), label=label, caption="")
    main(stage)
    assert "2 of 3 ID classes" in capsys.readouterr().err
