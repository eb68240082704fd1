"""Context labels: clean whatever the captioner says, near to the image, never the main object, and resumable."""

import string
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from penumbra.artifacts.contexts import Context, read_contexts, read_rows, write_contexts
from penumbra.artifacts.images import ImageWriter, encode, read_pixels
from penumbra.complexity import bytes_per_pixel
from penumbra.errors import PenumbraError
from penumbra.extract import contexts
from penumbra.extract.captioners import allowed_words, nearest_words
from penumbra.extract.contexts import from_file, main
from penumbra.extract.labels import CHARACTERS, clean, stems
from penumbra.models.clip import Clip
from penumbra.models.llava import Llava
from penumbra.stage import Params, Stage
from tiny_clip import write_tiny_clip
from tiny_llava import write_tiny_llava

NAMES = ["a tree frog", "two pandas"]
WORLD = ["sky", "tree", "the sea", "frog", "panda", "rock", "sea", "a tree frog", "bamboo", ""]
CLIP = {"captioner": "clip", "vocabulary": "world", "template": "x {}", "labels": 2, "per_class": None, "model": None, "path": None}
LLAVA = CLIP | {"captioner": "llava", "question": "What is there beside {}?", "tokens": 6}


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ("Bamboo, a tourist; the leaves\nand some railing.", ["Bamboo", "tourist", "leaves", "railing"]),
        ("1. bamboo\n2) fence\n- sky\n* sea\n• rock", ["bamboo", "fence", "sky", "sea", "rock"]),
        ("1. bamboo 2. fence 3. sky", ["bamboo", "fence", "sky"]),
        ('"bamboo", (sky), St. Mark, 3.5 m of fence', ["bamboo", "sky", "St. Mark", "3.5 m of fence"]),
        ("A panda sits. There is bamboo. The PANDA'S cub, Pandas", ["sits", "There is bamboo", "cub"]),
        ("panda, giant pandas, panda-like bear", ["like"]),
        ("sky, Sky, SKY, sea", ["sky", "sea"]),
        (" , ;; ...\n- \n1. ", []),
        ("", []),
    ],
)
def test_an_answer_becomes_a_list_of_things_beside_the_main_one(answer, labels):
    assert clean(answer, "giant panda, panda bear", 9) == labels


def test_an_endless_answer_is_cut_and_gives_clean_labels():
    assert clean("x" * 10_000, "panda", 3) == ["x" * CHARACTERS]
    assert clean("sky, " * 2_000, "panda", 3) == ["sky"]
    numbered = ", ".join(f"thing {index}" for index in range(1_000))
    assert len(numbered) > 10_000
    assert clean(numbered, "panda", 3) == ["thing 0", "thing 1", "thing 2"]
    # cut between words, and no filler at the end
    assert clean("grass and a " * 1_000, "panda", 3) == ["grass and a grass and a grass"]


ANSWER = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        st.sampled_from(["panda", "Pandas", "giant", ", ", "; ", "\n", "1. ", "- ", " and ", ". ", "bamboo", " ", "x" * 60, "\x00"]),
    ),
    max_size=30,
).map("".join)


@given(answer=ANSWER, labels=st.integers(1, 4))
def test_labels_are_few_distinct_short_and_without_the_class(answer, labels):
    found = clean(answer, "giant panda", labels)
    assert len(found) <= labels
    assert len({label.casefold() for label in found}) == len(found)
    for label in found:
        assert 1 <= len(label) <= CHARACTERS
        assert label.isprintable() and label == " ".join(label.split())
        assert not set(label) & set(",;\r\n")
        assert label[0] not in string.punctuation and label[-1] not in string.punctuation
        assert stems(label).isdisjoint({"giant", "panda"})


def test_a_filler_does_not_name_a_class():
    assert stems("The letter A in a box of Cats") == stems("LETTERS: box, cat's") == {"letter", "box", "cat"}
    assert clean("a tree in the park on a hill", "a cat on the roof", 1) == ["tree in the park on a hill"]


def test_words_that_share_one_with_the_class_are_not_its_labels():
    allowed = allowed_words(["sky", "tree", "two seas"], NAMES, "words.txt")
    assert allowed.tolist() == [[True, False, True], [True, True, False]]
    with pytest.raises(PenumbraError, match=r"words\.txt: all of its 2 words name the ID class 'a tree frog'"):
        allowed_words(["trees", "frog"], NAMES, "words.txt")


def test_of_equally_near_words_the_first_is_taken():
    words = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    allowed = torch.tensor([[True, False, True, True], [True, True, True, True]])
    cosines, indices = nearest_words(torch.tensor([[3.0, 0.0], [0.0, 1.0]]), words, allowed, 2)
    assert indices.tolist() == [[2, 3], [0, 1]]
    torch.testing.assert_close(cosines, torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    same, every = torch.ones(5_000, 2), torch.ones(1, 5_000, dtype=torch.bool)
    assert nearest_words(same[:1], same, every, 9)[1].tolist() == [list(range(9))]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {"clip": write_tiny_clip(folder / "clip"), "llava": write_tiny_llava(folder / "llava")}


@pytest.fixture
def stage(tmp_path, models, monkeypatch):
    """Six images of two classes, in blocks of four."""
    monkeypatch.setattr(contexts, "BLOCK", 4)
    draws = np.random.default_rng(0)
    columns = {"sample_id": pa.string(), "label": pa.int64(), "class": pa.string(), "caption": pa.string()}
    with ImageWriter(tmp_path / "train.parquet", columns, {"classes": ["frog", "panda"]}) as writer:
        for index in range(6):
            row = {"label": index % 2, "class": ["frog", "panda"][index % 2], "caption": NAMES[index % 2]}
            writer.add(encode(draws.integers(0, 256, (16, 16, 3), np.uint8)), sample_id=f"train/{index:06d}", **row)
    with ImageWriter(tmp_path / "world.parquet", {"caption": pa.string()}, {}) as writer:
        for caption in WORLD:
            writer.add(encode(np.zeros((16, 16, 3), np.uint8)), caption=caption)
    reads = {"images/train": tmp_path / "train.parquet", "images/world": tmp_path / "world.parquet", "models/clip": models["clip"]}
    params = Params({"extract": {"contexts": CLIP}})
    return Stage("extract", "contexts", params, {}, reads, {"features/contexts": tmp_path / "contexts.csv"}, tmp_path / "scratch")


def asking(stage, **changes):
    return replace(stage, params=Params({"extract": {"contexts": LLAVA | changes}}))


def test_tags_are_the_nearest_words_that_are_not_of_the_class(stage, models):
    main(stage)
    clip = Clip.load(models["clip"])
    pixels = torch.from_numpy(read_pixels(stage.read("images/train"))).permute(0, 3, 1, 2).float() / 255
    words = ["sky", "tree", "the sea", "frog", "panda", "rock", "sea", "bamboo"]
    rows = read_rows(stage.write())
    assert [(row.sample_id, row.name) for row in rows] == [(f"train/{index:06d}", ["frog", "panda"][index % 2]) for index in range(6)]
    for index, row in enumerate(rows):
        own = [word for word in words if word not in (["tree", "frog"], ["panda"])[index % 2]]
        image = clip.embed_images(pixels[index : index + 1])
        near = {word: F.cosine_similarity(image, clip.embed_texts([f"x {word}"])).item() for word in own}
        best = sorted(own, key=near.__getitem__, reverse=True)[:2]
        assert row.labels == ", ".join(best)
        assert row.answer == ", ".join(f"{word} ({near[word]:.3f})" for word in best)
    assert len({row.labels for row in rows}) > 1


def test_only_the_images_of_most_detail_get_labels(stage):
    detail = bytes_per_pixel(stage.read("images/train"))
    main(stage)
    every = {row.sample_id: row for row in read_rows(stage.write())}
    main(replace(stage, params=Params({"extract": {"contexts": CLIP | {"per_class": 2}}})))
    kept = sorted(row for label in (0, 1) for row in sorted(range(label, 6, 2), key=lambda row: (-detail[row], row))[:2])
    assert [row.sample_id for row in read_rows(stage.write())] == [f"train/{row:06d}" for row in kept]
    assert all(row == every[row.sample_id] for row in read_rows(stage.write()))


def test_an_image_with_fewer_words_than_labels_has_these(stage):
    main(replace(stage, params=Params({"extract": {"contexts": CLIP | {"labels": 20}}})))
    labels = [set(row.split(", ")) for row in read_contexts(stage.write()).values()]
    others = {"sky", "the sea", "rock", "sea", "bamboo"}
    assert labels == [others | {"panda"}, others | {"tree", "frog"}] * 3


def test_a_word_file_stands_in_for_the_world(stage, tmp_path):
    (tmp_path / "words.txt").write_text("moon\nsun\nstar\n")
    main(replace(stage, params=Params({"extract": {"contexts": CLIP | {"vocabulary": str(tmp_path / "words.txt")}}})))
    assert {label for labels in read_contexts(stage.write()).values() for label in labels.split(", ")} <= {"moon", "sun", "star"}


def test_parts_give_the_bytes_of_the_whole(stage, tmp_path):
    main(stage)
    again = replace(stage, writes={"features/contexts": tmp_path / "again.csv"}, scratch_root=tmp_path / "other")
    for index in range(2):
        main(replace(again, part=(index, 2)))
        assert not again.write().exists()
    main(again)
    assert again.write().read_bytes() == stage.write().read_bytes()
    assert not again.scratch_root.joinpath("extract@contexts").exists()


def test_a_model_is_asked_about_everything_but_the_class_and_its_answer_is_kept(stage, models):
    main(asking(stage, model=str(models["llava"])))
    llava = Llava.load(models["llava"])
    pixels = torch.from_numpy(read_pixels(stage.read("images/train"))).permute(0, 3, 1, 2)
    rows = read_rows(stage.write())
    for index in (0, 5):
        row, name = rows[index], NAMES[index % 2]
        (answer,) = llava.answer(pixels[index : index + 1], [f"What is there beside {name}?"], 6)
        assert row.answer == answer
        assert row.labels == ", ".join(clean(answer, name, 2))


class Scripted:
    """Answers from a list; fails when it ends."""

    def __init__(self, answers):
        self.answers = iter(answers)

    def answer(self, pixels, questions, tokens):
        return [next(self.answers) for _ in questions]


def test_answers_of_finished_blocks_outlive_a_killed_job(stage, monkeypatch):
    said = [f"thing {index}, rock" for index in range(6)]
    monkeypatch.setattr(Llava, "load", lambda *_: Scripted(said[:5]))
    with pytest.raises(StopIteration):
        main(asking(stage, model="x"))
    monkeypatch.setattr(Llava, "load", lambda *_: Scripted(said[4:]))
    main(asking(stage, model="x"))
    assert [row.answer for row in read_rows(stage.write())] == said


def test_an_empty_and_an_endless_answer_are_rows_like_others(stage, monkeypatch):
    said = ["", "x" * 10_000, "sky\n" * 3_000, *[" , "] * 3]
    monkeypatch.setattr(Llava, "load", lambda *_: Scripted(said))
    main(asking(stage, model="x"))
    rows = read_rows(stage.write())
    assert [row.answer for row in rows] == said
    assert [row.labels for row in rows] == ["", "x" * CHARACTERS, "sky", *[""] * 3]


GIVEN = [Context("b", "panda", "sky,  sea\n", "raw"), Context("z", "cat", "x", ""), Context("a", "frog", "", "")]


def test_a_table_of_ones_own_is_taken_as_it_is_in_the_order_of_the_images(tmp_path):
    write_contexts(tmp_path / "mine.csv", GIVEN)
    rows = from_file(tmp_path / "mine.csv", ["a", "b"], ["frog", "panda"])
    assert rows == [Context("a", "frog", "", ""), Context("b", "panda", "sky, sea", "raw")]


@pytest.mark.parametrize(
    ("sample_ids", "classes", "message"),
    [
        (["a", "c", "d"], ["frog"] * 3, r"has no row for 2 of 3 ID train images that are chosen \(c is the first\)"),
        (["a"], ["panda"], "says that a is of class 'frog', and it is of 'panda'"),
    ],
)
def test_a_table_of_other_images_is_an_error_that_names_it(sample_ids, classes, message, tmp_path):
    write_contexts(tmp_path / "mine.csv", GIVEN)
    with pytest.raises(PenumbraError, match=rf"mine\.csv: {message}"):
        from_file(tmp_path / "mine.csv", sample_ids, classes)


def test_what_the_stage_writes_can_be_given_back_to_it(stage, tmp_path):
    main(stage)
    mine = stage.write().rename(tmp_path / "mine.csv")
    main(asking(stage, captioner="file", path=str(mine)))
    assert stage.write().read_bytes() == mine.read_bytes()
