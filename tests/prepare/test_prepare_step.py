"""The whole step: the files it writes, what it sets aside, what it refuses."""

import csv
import hashlib
import itertools
import re
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sections import id_spec, spec

from penumbra.artifacts.images import read_pixels, read_provenance, read_table
from penumbra.errors import PenumbraError
from penumbra.prepare import ingest
from penumbra.prepare.params import Shift
from penumbra.prepare.record import Record
from penumbra.prepare.step import COLUMNS, SECTIONS, main
from penumbra.seeds import derive
from penumbra.stage import Stage


def rows(stage: Stage, name: str) -> list[dict]:
    return read_table(stage.write(f"images/{name}")).to_pylist()


def quarantine(stage: Stage) -> list[dict]:
    with open(stage.write("images/quarantine"), newline="") as file:
        return list(csv.DictReader(file))


def hashes(stage: Stage) -> dict[str, str]:
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in stage.writes.items()}


@pytest.fixture
def prepared(make_stage) -> Stage:
    stage = make_stage()
    main(stage)
    return stage


def test_files_follow_the_contract(prepared: Stage):
    seen = Counter()
    for name in SECTIONS:
        table = read_table(prepared.write(f"images/{name}"))
        assert {field.name: field.type for field in table.schema} == COLUMNS
        made = read_provenance(prepared.write(f"images/{name}"))
        assert (made["stage"], made["classes"], made["versions"]) == ("prepare", ["0", "1"], prepared.versions)
        assert made["params"]["prepare"] == {section: prepared.provenance["params"]["prepare"][section] for section in SECTIONS[name]}
        assert read_pixels(prepared.write(f"images/{name}")).shape == (len(table), 16, 16, 3)
        seen.update(table["sample_id"].to_pylist())
    assert set(seen.values()) == {1}
    assert [row["sample_id"] for row in rows(prepared, "val")][:2] == ["val/000000", "val/000001"]
    assert {row["label"] for row in rows(prepared, "ood") + rows(prepared, "world") + rows(prepared, "calibration")} == {-1}
    assert {(row["class"], row["label"]) for row in rows(prepared, "test")} == {("0", 0), ("1", 1)}
    assert {(row["set"], row["group"]) for row in rows(prepared, "calibration")} == {("glyphs", "calibration")}


def test_captions_reach_the_world_and_id_train_only(prepared: Stage):
    assert {row["caption"] for row in rows(prepared, "train")} == {"a handwritten digit zero", "a handwritten digit one"}
    assert all(row["caption"] for row in rows(prepared, "world"))
    assert not any(row["caption"] for name in ("val", "test", "calibration", "ood", "shifted") for row in rows(prepared, name))


def test_no_source_image_is_in_two_splits_and_shifted_ones_are_test_images(prepared: Stage):
    sources = {name: {row["source_id"] for row in rows(prepared, name)} for name in ("train", "val", "test")}
    assert sum(map(len, sources.values())) == len(set.union(*sources.values())) == 178 + 182
    labels = {row["source_id"]: row["label"] for row in rows(prepared, "test")}
    shifted = rows(prepared, "shifted")
    assert all(labels[row["source_id"]] == row["label"] for row in shifted)
    assert Counter((row["set"], row["strength"]) for row in shifted) == {(k, s): 3 for k in ("rotation", "noise") for s in (1, 2)}


def test_two_runs_and_any_number_of_workers_give_the_same_bytes(make_stage, prepared: Stage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ingest.os, "sched_getaffinity", lambda _: range(7))
    again = make_stage("again")
    main(again)
    assert hashes(again) == hashes(prepared)


def test_another_seed_gives_another_split(make_stage, prepared: Stage):
    other = make_stage("other", seed=1)
    main(other)
    assert {row["source_id"] for row in rows(other, "test")} != {row["source_id"] for row in rows(prepared, "test")}


def test_bad_files_are_listed_with_path_and_reason(make_stage, class_folder):
    root = class_folder(count=30)
    (root / "cat" / "000.png").write_bytes(b"")
    (root / "dog" / "words.png").write_text("words")
    (root / "dog" / "001.png").write_bytes((root / "dog" / "001.png").read_bytes()[:-600])
    (root / "empty").mkdir()
    (root / "stray.png").write_bytes((root / "cat" / "002.png").read_bytes())
    stage = make_stage(id=id_spec("folder", root), quarantine_limit=0.2)
    main(stage)
    reasons = {row["path"]: row["reason"] for row in quarantine(stage)}
    assert {row["source"] for row in quarantine(stage)} == {"id"}
    assert reasons.pop("dog/001.png").startswith("unreadable: ")
    assert reasons == {
        "cat/000.png": "empty file",
        "dog/words.png": "not an image",
        "empty": "class folder without images",
        "stray.png": "has no class",
    }
    kept = [row for name in ("train", "val", "test") for row in rows(stage, name)]
    assert len(kept) == 58 and {row["class"] for row in kept} == {"cat", "dog"}
    table = read_table(stage.write("images/train"), ["image", "source_id"]).to_pylist()
    assert all(row["image"]["path"] == row["source_id"] for row in table)


def test_copies_are_kept_once_and_test_sets_win_over_what_models_see(make_stage, class_folder):
    root, near, calibration = class_folder(count=30), class_folder("near", ("fox",), 20), class_folder("calib", ("owl",), 20)
    for index in range(4):  # an ID picture in the near set, a near picture in the calibration set
        (near / "fox" / f"copy-{index}.png").write_bytes((root / "cat" / f"{index:03d}.png").read_bytes())
        (calibration / "owl" / f"copy-{index}.png").write_bytes((near / "fox" / f"{index:03d}.png").read_bytes())
    others = {"near": {"foxes": spec("folder", near)}, "calibration": {"owls": spec("folder", calibration)}}
    stage = make_stage(id=id_spec("folder", root), quarantine_limit=0.3, **others)
    main(stage)
    found = Counter((row["source"], re.sub("train|val|test", "*", row["reason"])) for row in quarantine(stage))
    assert found == {("near.foxes", "the same picture is in id-*"): 4, ("calibration.owls", "the same picture is in near foxes"): 4}
    assert len(rows(stage, "calibration")) == 20 and sum(row["set"] == "foxes" for row in rows(stage, "ood")) == 20


def test_copies_within_id_never_cross_splits(make_stage, class_folder):
    root = class_folder(count=40)
    for index in range(10):
        (root / "cat" / f"copy-{index}.png").write_bytes((root / "cat" / f"{index:03d}.png").read_bytes())
    stage = make_stage(id=id_spec("folder", root), quarantine_limit=0.5)
    main(stage)
    splits: dict[bytes, set[str]] = {}
    for name in ("train", "val", "test"):
        for pixels in read_pixels(stage.write(f"images/{name}")):
            splits.setdefault(pixels.tobytes(), set()).add(name)
    assert max(map(len, splits.values())) == 1
    assert quarantine(stage) and all("copy-" in row["path"] or row["path"][4:7].isdecimal() for row in quarantine(stage))


def test_too_many_bad_files_are_an_error_that_says_which(make_stage, class_folder, tmp_path: Path):
    root = class_folder()
    for index in range(4):
        (root / "cat" / f"{index:03d}.png").write_bytes(b"")
    stage = make_stage(id=id_spec("folder", root))
    with pytest.raises(PenumbraError, match=r"prepare\.id: 4 of 40 images are unusable.*0\.05.*cat/00\d\.png: empty file") as caught:
        main(stage)
    assert not any(path.exists() for path in stage.writes.values())
    listed = Path(str(caught.value).rpartition(" in ")[2].rstrip("."))
    assert len(listed.read_text().splitlines()) == 5


def test_imglist_splits_its_images_and_names_missing_ones(make_stage, class_folder, tmp_path: Path):
    root = class_folder()
    lines = [f"{name}/{index:03d}.png {label}" for label, name in enumerate(("cat", "dog")) for index in range(21)]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    stage = make_stage(id=id_spec("imglist", tmp_path / "list.txt", root=root, classes=["cat", "dog"]), quarantine_limit=0.1)
    main(stage)
    assert sorted((row["path"], row["reason"]) for row in quarantine(stage)) == [(f"{n}/020.png", "missing file") for n in ("cat", "dog")]
    assert {(row["class"], row["label"]) for row in rows(stage, "train")} == {("cat", 0), ("dog", 1)}


def test_flat_folder_is_good_enough_for_a_test_set(make_stage, class_folder):
    flat = class_folder("flat", ("fox",), 5) / "fox"
    stage = make_stage(near={"foxes": spec("folder", flat, limit=3)})
    main(stage)
    assert [row["class"] for row in rows(stage, "ood") if row["set"] == "foxes"] == [""] * 3


def test_new_source_is_one_module_and_its_official_test_part_is_only_tested_on(make_stage, monkeypatch: pytest.MonkeyPatch):
    def toy(spec, key: str, seed: int):
        for index, (official, name) in enumerate(itertools.product(["train", "test"] * 6, spec.classes)):
            pixels = np.random.default_rng(derive(name, index)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            yield Record(f"{official}/{index}", name, partial(Image.fromarray, pixels), official=official)

    monkeypatch.setitem(sys.modules, "penumbra.prepare.sources.toy", SimpleNamespace(read=toy))
    stage = make_stage(
        id=id_spec("toy", classes=["a", "b"]), near={"toys": spec("toy", classes=["c"])}, calibration={"toys": spec("toy", classes=["d"])}
    )
    main(stage)
    parts = {(row["group"], row["set"], row["source_id"].split("/")[0]) for name in SECTIONS for row in rows(stage, name)}
    assert {(group, part) for group, name, part in parts if name == "toys"} == {("near", "test"), ("calibration", "train")}
    assert {(name, part) for group, name, part in parts if group == "id"} == {
        ("id-train", "train"),
        ("id-val", "train"),
        ("id-test", "test"),
    }


def test_impossible_id_sources_are_named(make_stage, class_folder):
    one = class_folder("one", ("cat",))
    with pytest.raises(PenumbraError, match=r"prepare\.id: 1 class in folder"):
        main(make_stage(id=id_spec("folder", one)))
    (one / "dog").mkdir()
    with pytest.raises(PenumbraError, match=r"prepare\.id: no images of class dog"):
        main(make_stage(id=id_spec("folder", one, ["cat", "dog"])))
    few = class_folder("few", count=2)
    with pytest.raises(PenumbraError, match="2 images of class"):
        main(make_stage(id=id_spec("folder", few)))
    damaged = class_folder("damaged", count=5)
    for path in (damaged / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(PenumbraError, match=r"no usable train image of class dog"):
        main(make_stage(id=id_spec("folder", damaged), quarantine_limit=1.0))


def test_set_without_images_is_an_error(make_stage, tmp_path: Path):
    (tmp_path / "void").mkdir()
    with pytest.raises(PenumbraError, match=r"prepare\.near\.void: no usable image"):
        main(make_stage(near={"void": spec("folder", tmp_path / "void")}))


def test_prepare_of_digits_needs_no_torch():
    code = "import sys, penumbra.prepare.step; assert not {'torch', 'torchvision', 'sklearn', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_change_of_one_set_leaves_the_bytes_of_the_others(prepared: Stage, make_stage):
    other = make_stage(out="other", shift=prepared.params.prepare.shift.model_copy(update={"strengths": 3}))
    main(other)
    changed = {name for name in SECTIONS if file_hash(other, name) != file_hash(prepared, name)}
    assert changed == {"shifted"}


def file_hash(stage: Stage, name: str) -> str:
    return hashlib.sha256(stage.write(f"images/{name}").read_bytes()).hexdigest()


def test_shifted_sets_are_id_classes_from_elsewhere(make_stage):
    sets = {"scans": spec("digits", classes=["2", "3"], limit=9)}
    kinds = Shift(strengths=2, limit=3, kinds={"rotation": 40.0}, sets=sets)
    stage = make_stage(id=id_spec("mnist", classes=["2", "3"]), shift=kinds)
    main(stage)
    found = [row for row in rows(stage, "shifted") if row["set"] == "scans"]
    assert len(found) == 9 and {row["strength"] for row in found} == {2} and {row["group"] for row in found} == {"shift"}
    assert all(row["label"] == int(row["class"]) - 2 for row in found)


def test_shifted_sets_of_other_classes_are_refused(make_stage):
    sets = {"scans": spec("digits", classes=["2", "7"], limit=9)}
    stage = make_stage(id=id_spec("mnist", classes=["2", "3"]), shift=Shift(strengths=2, limit=3, kinds={"rotation": 40.0}, sets=sets))
    with pytest.raises(PenumbraError, match=r"prepare\.shift\.sets\.scans: 7 is no ID class"):
        main(stage)
