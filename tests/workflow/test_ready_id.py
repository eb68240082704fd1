"""ID test images and class names from elsewhere: they are needed, looked at before a run starts, counted, and dependencies."""

import copy
from pathlib import Path

import pytest

from penumbra.dataset import data_set
from penumbra.experiment.load import load, typed
from penumbra.workflow import contract, doctor, needs, outside, ready, twins, work

ROOT = Path(__file__).parents[2]
GIVEN = load(ROOT / "params.yaml")


def dag(section: dict, **world) -> contract.Contract:
    """The contract of the digits with another section prepare.id."""
    given = copy.deepcopy(GIVEN)
    given["prepare"]["id"] = section
    given["prepare"]["world"] |= world
    return contract.Contract(contract.load().stages.values(), given, typed(given, "params.yaml"))


def faults(made: contract.Contract, *stages: str) -> list[str]:
    return list(ready.faults(made, stages, needs.needs(made, stages)))


def images(path: Path, count: int, *classes: str) -> str:
    for name in classes:
        (path / name).mkdir(parents=True)
        for index in range(count):
            (path / name / f"{index}.png").write_text(f"{path} {name} {index}")
    return str(path)


@pytest.fixture
def section(tmp_path) -> dict:
    """Two classes in folders, and six test images of them elsewhere."""
    test = {"source": "folder", "path": images(tmp_path / "test", 3, "n1", "n2"), "root": None, "classes": None, "limit": None}
    own = {"source": "folder", "path": images(tmp_path / "train", 8, "n1", "n2"), "root": None, "classes": None}
    return own | {"val_share": 0.25, "test_share": None, "test": test}


@pytest.fixture
def names(tmp_path) -> str:
    (tmp_path / "names.txt").write_text("crane\ncrane\n")
    return str(tmp_path / "names.txt")


def test_they_can_start_and_are_counted(section, names):
    made = dag(section | {"names": names})
    assert faults(made, "prepare") == []
    counted = work.images(made.experiment)
    assert (counted.train, counted.val, counted.test, counted.classes) == (12, 4, 6, 2)
    assert data_set(made.experiment.prepare.id) == "folder train, tested on folder test"
    assert data_set(made.experiment.prepare.id.model_dump()) == "folder train, tested on folder test"


def test_each_is_listed_and_missed_where_it_is_not(section, names):
    made = dag(section | {"names": names})
    found = {need.key: need.found for need in needs.needs(made, ["prepare"])}
    assert list(found) == ["prepare.id.path", "prepare.id.names", "prepare.id.test.path"]
    assert found["prepare.id.names"].startswith("1 file") and found["prepare.id.test.path"].startswith("6 files")
    gone = dag(section | {"names": "/gone/names.txt", "test": section["test"] | {"path": "/gone/test"}})
    lines = faults(gone, "prepare")
    assert [line.split(":")[0] for line in lines] == ["prepare.id.names", "prepare.id.test.path"]
    assert all("does not exist" in line for line in lines)


def test_other_classes_and_too_few_names_are_told_before_the_run(section, names, tmp_path):
    images(tmp_path / "test", 1, "n3")
    (tmp_path / "names.txt").write_text("crane\n")
    wrong, lacking = faults(dag(section | {"names": names}), "prepare")
    assert wrong.startswith("prepare.id.test: n3 is no class of prepare.id")
    assert lacking.startswith(f"prepare.id.names: {names} has 1 names, and prepare.id has 2 classes")


def test_folders_of_numbers_have_words_once_they_are_named(section, names):
    given = copy.deepcopy(GIVEN)
    given["pretrain"]["diffusion"]["sd"]["pipeline"] = "publisher/pipeline"
    numbers = section | {"classes": None}
    for own, said in ((numbers, [True]), (numbers | {"names": names}, [])):
        given["prepare"]["id"] = own
        for folder in ("train", "test"):
            for name, number in (("n1", "n01440764"), ("n2", "n01443537")):
                path = Path(section["path"]).parent / folder / name
                if path.exists():
                    path.rename(path.with_name(number))
        made = contract.Contract(contract.load().stages.values(), given, typed(given, "params.yaml"))
        assert ["prepare.id.names" in line for line in faults(made, "prepare", "synthesize-good@good")] == said


def test_an_edit_of_either_is_seen(section, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"prepare": {"id": section | {"names": names}}}
    before = outside.digests(given)
    assert set(before) == {section["path"], names, section["test"]["path"]}
    Path(names).write_text("crane\nheron\n")
    (tmp_path / "test/n1/0.png").write_text("another picture")
    after = outside.digests(given)
    assert {label for label in before if after[label] != before[label]} == {names, section["test"]["path"]}


def test_names_beside_a_list_are_no_list(tmp_path, names):
    (tmp_path / "train.txt").write_text("a.png 0\nb.png 1\n")
    found = dict(outside.named({"id": {"source": "imglist", "path": str(tmp_path / "train.txt"), "root": None, "names": names}}))
    assert found["id.names"].root is None and found["id.path"].root == str(tmp_path)


def test_a_table_of_images_and_its_selection_are_needed(section, tmp_path):
    table = {
        "source": "parquet",
        "path": str(tmp_path / "a.parquet"),
        "root": str(tmp_path / "mid.parquet"),
        "classes": None,
        "limit": None,
    }
    found = dict(outside.named({"world": {"theirs": table}}))
    assert set(found) == {"world.theirs.path", "world.theirs.root"}
    assert [line.split(":")[0] for line in faults(dag(section, theirs=table), "prepare")] == [
        "prepare.world.theirs.path",
        "prepare.world.theirs.root",
    ]


def test_one_picture_under_two_test_classes_is_told(section, monkeypatch, capsys):
    test = Path(section["test"]["path"])
    (test / "n1/0.png").write_text("one picture")
    (test / "n2/1.png").write_text("one picture")
    made = dag(section)
    assert twins.twins(made.experiment.prepare.id.test, "id.test") == [("n1/0.png", "n2/1.png")]
    monkeypatch.setattr(doctor.contract, "load", lambda: made)
    assert doctor.experiment() == []
    assert "warning: prepare.id.test: n1/0.png and n2/1.png are one picture" in capsys.readouterr().out
