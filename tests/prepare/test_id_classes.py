"""ID test images from a source of their own, and what classes are called."""

from collections import Counter

import pytest
from sections import id_spec, spec

from penumbra.artifacts.captions import concepts
from penumbra.artifacts.images import read_provenance, read_table
from penumbra.errors import PenumbraError
from penumbra.prepare.classes import class_names, source_of_test
from penumbra.prepare.params import Shift
from penumbra.prepare.step import main

FILES = ("train", "val", "test")
NO_SHIFT = Shift(strengths=1, limit=2, kinds={"rotation": 40.0}, sets={})


def rows(stage, name):
    return read_table(stage.write(f"images/{name}")).to_pylist()


def made(make_stage, source, out="out", **more):
    stage = make_stage(out, id=source, shift=NO_SHIFT, **more)
    main(stage)
    return stage


def own(train, test, **more):
    """ID images of `train`, and test images of `test`."""
    return train.model_copy(update={"test": test, "test_share": None} | more)


@pytest.fixture
def pets(class_folder):
    """Folders of training images and of test images."""
    return class_folder("pets", count=20), class_folder("others", count=6)


def test_test_images_come_from_there_and_only_validation_is_cut_from_the_others(make_stage, pets):
    train, test = pets
    stage = made(make_stage, own(id_spec("folder", train), spec("folder", test)))
    counts = {name: Counter(row["class"] for row in rows(stage, name)) for name in FILES}
    assert counts == {"train": {"cat": 16, "dog": 16}, "val": {"cat": 4, "dog": 4}, "test": {"cat": 6, "dog": 6}}
    images = {name: {row["image"]["bytes"] for row in read_table(stage.write(f"images/{name}"), ["image"]).to_pylist()} for name in FILES}
    alone = made(make_stage, id_spec("folder", test), "alone")
    known = {row["image"]["bytes"] for name in FILES for row in read_table(alone.write(f"images/{name}"), ["image"]).to_pylist()}
    assert images["test"] == known and not (images["train"] | images["val"]) & known
    assert {row["label"] for row in rows(stage, "test") if row["class"] == "dog"} == {1}
    assert {row["source_id"] for row in rows(stage, "shifted")} <= {row["source_id"] for row in rows(stage, "test")}
    params = read_provenance(stage.write("images/test"))["params"]["prepare"]["id"]
    assert params["test"]["path"] == str(test) and "names" not in params


def test_classes_of_test_images_are_chosen_as_those_of_the_others(make_stage, class_folder):
    train, test = class_folder("pets", ("cat", "dog", "eel")), class_folder("others", ("cat", "dog", "newt"))
    stage = made(make_stage, own(id_spec("folder", train, ["dog", "cat"]), spec("folder", test)))
    assert {(row["class"], row["label"]) for row in rows(stage, "test")} == {("dog", 0), ("cat", 1)}


def test_a_list_of_test_images_has_the_labels_of_the_training_list(make_stage, pets, tmp_path):
    train, test = pets
    for folder, name, count in ((train, "train.txt", 20), (test, "test.txt", 6)):
        lines = [f"{folder}/{kind}/{index:03d}.png {label}" for label, kind in ((3, "dog"), (7, "cat")) for index in range(count)]
        (tmp_path / name).write_text("\n".join(lines))
    stage = made(make_stage, own(id_spec("imglist", tmp_path / "train.txt"), spec("imglist", tmp_path / "test.txt")))
    assert {(row["class"], row["label"], "dog" in row["source_id"]) for row in rows(stage, "test")} == {("3", 0, True), ("7", 1, False)}


def test_the_numbers_of_a_list_beside_folders_are_labels(make_stage, pets, tmp_path):
    train, test = pets
    (tmp_path / "test.txt").write_text(
        "".join(f"{name}/{index:03d}.png {label}\n" for label, name in ((0, "cat"), (1, "dog")) for index in range(6))
    )
    stage = made(make_stage, own(id_spec("folder", train), spec("imglist", tmp_path / "test.txt", root=test)))
    assert {(row["class"], row["source_id"][:3]) for row in rows(stage, "test")} == {("cat", "cat"), ("dog", "dog")}


def test_another_scanner_may_test_and_a_limit_draws_of_it(make_stage):
    source = own(id_spec("mnist", classes=["0", "1"]), spec("digits", limit=40))
    stage = made(make_stage, source)
    assert len(rows(stage, "test")) == 40 and {row["class"] for row in rows(stage, "test")} == {"0", "1"}
    assert len(rows(stage, "train")) + len(rows(stage, "val")) == 1000


def test_other_classes_and_missing_ones_are_refused(make_stage, pets, class_folder):
    train, test = pets
    (test / "newt").mkdir()
    (test / "newt/0.png").write_bytes((test / "cat/000.png").read_bytes())
    with pytest.raises(PenumbraError, match=r"prepare\.id\.test: newt is no class of prepare\.id"):
        made(make_stage, own(id_spec("folder", train), spec("folder", test)))
    one = class_folder("one", ("cat",))
    with pytest.raises(PenumbraError, match=r"prepare\.id\.test: no image of class dog"):
        made(make_stage, own(id_spec("folder", train), spec("folder", one)))
    with pytest.raises(PenumbraError, match=r"prepare\.id\.test: no image of class (cat|dog)\. .*limit"):
        made(make_stage, own(id_spec("folder", train), spec("folder", class_folder("three", count=3), limit=1)))


def test_a_picture_that_is_also_tested_on_is_not_learnt(make_stage, pets):
    train, test = pets
    (train / "cat/copy.png").write_bytes((test / "cat/000.png").read_bytes())
    stage = made(make_stage, own(id_spec("folder", train), spec("folder", test)), quarantine_limit=0.1)
    lost = stage.write("images/quarantine").read_text()
    assert "id,cat/copy.png,the same picture is in id-test" in lost


def test_too_many_damaged_test_images_are_an_error_of_their_source(make_stage, pets):
    train, test = pets
    for index in range(3):
        (test / f"cat/{index:03d}.png").write_bytes(b"")
    with pytest.raises(PenumbraError, match=r"prepare\.id\.test: 3 of 12 images are unusable"):
        made(make_stage, own(id_spec("folder", train), spec("folder", test)))


def test_names_are_shown_and_prompted_and_two_classes_may_share_one(make_stage, class_folder, tmp_path):
    root = class_folder("birds", ("n1", "n2", "n3"))
    (tmp_path / "names.txt").write_text("crane\nfire_truck\ncrane\n")
    stage = made(make_stage, id_spec("folder", root).model_copy(update={"names": str(tmp_path / "names.txt")}))
    for name in (*FILES, "shifted"):
        assert {(row["label"], row["class"]) for row in rows(stage, name)} <= {(0, "crane"), (1, "fire_truck"), (2, "crane")}
    assert read_provenance(stage.write("images/train"))["classes"] == ["crane", "fire_truck", "crane"]
    assert concepts(stage.write("images/train")) == ["crane", "fire truck", "crane"]
    labels = Counter(row["label"] for row in rows(stage, "train"))
    plain = made(make_stage, id_spec("folder", root), "plain")
    assert labels == Counter(row["label"] for row in rows(plain, "train"))
    assert [row["source_id"] for row in rows(stage, "train")] == [row["source_id"] for row in rows(plain, "train")]


def test_a_class_without_images_is_missed_though_another_has_its_name(make_stage, class_folder, tmp_path):
    root = class_folder("birds", ("n1", "n2"), count=6)
    for path in (root / "n2").iterdir():
        path.write_bytes(b"")
    (tmp_path / "names.txt").write_text("crane\ncrane")
    with pytest.raises(PenumbraError, match="no usable train image of class crane"):
        made(make_stage, id_spec("folder", root).model_copy(update={"names": str(tmp_path / "names.txt")}), quarantine_limit=1.0)


def test_shifted_sets_have_the_names_too(make_stage, tmp_path):
    (tmp_path / "names.txt").write_text("two\nthree\n")
    sets = {"scans": spec("digits", classes=["3", "2"], limit=9)}
    source = id_spec("mnist", classes=["2", "3"]).model_copy(update={"names": str(tmp_path / "names.txt")})
    stage = make_stage(id=source, shift=Shift(strengths=2, limit=3, kinds={"rotation": 40.0}, sets=sets))
    main(stage)
    assert {(row["label"], row["class"]) for row in rows(stage, "shifted") if row["set"] == "scans"} == {(0, "two"), (1, "three")}
    assert {row["caption"] for row in rows(stage, "train")} == {"two", "three"}


def test_a_table_names_folders_and_may_have_more(tmp_path):
    table = tmp_path / "names.csv"
    table.write_text('\ufefffolder,name\nn3,crane\nn1,"hen, or cock"\nn9,tench\nn2,crane\n')
    assert class_names(str(table), ["n1", "n2", "n3"]) == ["hen, or cock", "crane", "crane"]
    with pytest.raises(PenumbraError, match="has no row for class n4, n5, n6 and 1 more"):
        class_names(str(table), ["n1", "n4", "n5", "n6", "n7"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("names.txt", b"cat\n", "1 names, and prepare.id has 2 classes"),
        ("names.txt", b"cat\ndog\neel\n", "3 names, and prepare.id has 2 classes"),
        ("names.txt", b"\ndog\n", r"no printable name for class n1 \(label 0\)"),
        ("names.txt", b"cat\nd\x07g\n", r"no printable name for class n2 \(label 1\)"),
        ("names.txt", b"cat\n\xff\n", "cannot be read as UTF-8 text"),
        ("names.csv", b"class,name\nn1,cat\nn2,dog\n", "lacks the columns folder and name"),
        ("names.csv", b"folder,name\nn1,cat\nn1,dog\nn2,eel\n", "calls n1 both cat and dog"),
        ("names.csv", b"folder,name\nn1,cat\nn2,\n", "no printable name for class n2"),
    ],
)
def test_names_that_do_not_fit_are_told_with_a_remedy(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PenumbraError, match=rf"^prepare\.id\.names: .*{name} .*{said}"):
        class_names(str(tmp_path / name), ["n1", "n2"])
    with pytest.raises(PenumbraError, match="cannot be read"):
        class_names(str(tmp_path / "absent"), ["n1", "n2"])


def test_without_a_file_classes_have_their_own_names_and_lines_may_end_in_any_way(tmp_path):
    assert class_names(None, ["n1", "n2"]) == ["n1", "n2"]
    (tmp_path / "names.txt").write_bytes("\ufeffcat\r\n dog \r\n\r\n".encode())
    assert class_names(str(tmp_path / "names.txt"), ["n1", "n2"]) == ["cat", "dog"]


def test_classes_that_are_named_for_test_images_are_left_as_they_are():
    source = own(id_spec("folder", "/x", ["cat", "dog"]), spec("folder", "/y", ["dog", "cat"]))
    assert source_of_test(source, ["cat", "dog"]).classes == ["dog", "cat"]
    assert source_of_test(id_spec("folder", "/x"), ["cat"]) is None
