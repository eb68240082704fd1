"""`penumbra init`: real folders of images in, an experiment out that composes and fits them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from penumbra.errors import PenumbraError
from penumbra.experiment.load import load, validate
from penumbra.workflow.configure import configure
from penumbra.workflow.init import FITTED, budgets, init, look

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with conf/ and params.yaml, and the process in it."""
    shutil.copytree(ROOT / "conf", tmp_path / "project/conf", symlinks=True)
    shutil.copy(ROOT / "params.yaml", tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def pictures(folder, classes, count=12, mode="RGB", size=(64, 48)):
    """Random pictures, `count` of each class; of class "" directly in the folder."""
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{index}.png")
    return folder


def test_what_it_writes_is_an_experiment_of_these_images(project):
    mine, other = pictures(project / "my images", ["cat", "dog"], 30), pictures(project / "others", [""])
    said = init("mine", mine, other)
    assert f"ID    {mine}: 60 images of 2 classes, colour, 48 pixels" in said
    assert f"near  {other}: 12 images, colour, 48 pixels" in said
    assert "cat has 30 images; below 50 of a class the numbers say little." in said
    configure(["experiment=mine"])
    experiment = validate("params.yaml")
    assert (experiment.prepare.id.path, experiment.prepare.near["ood"].path) == (str(mine), str(other))
    assert list(experiment.prepare.near) == ["ood"] and "letters" not in experiment.prepare.far and not experiment.prepare.world
    assert not experiment.common.grey and not load("params.yaml")["pretrain"]["diffusion"]
    sources = {each["source"] for group in ("near", "far", "calibration") for each in load("params.yaml")["prepare"][group].values()}
    assert not sources & {"mnist", "digits"}


def test_without_ood_letters_stand_in_and_grey_images_ask_for_grey_outliers(project):
    said = init("grey", pictures(project / "scans", ["a", "b", "c"], mode="L"), None)
    assert "grey" in said and "near  printed letters" in said
    configure(["experiment=grey"])
    assert list(load("params.yaml")["prepare"]["near"]) == ["letters"] and load("params.yaml")["common"]["grey"] is True


@given(st.integers(24, 2_000_000))
def test_every_budget_takes_as_many_steps_as_the_embedded_experiment_and_no_less_than_its_epochs(images):
    train = round(images * 0.6)
    found = budgets(PRESET, images)
    for section, of in FITTED.items():
        preset, changed = PRESET, found
        for key in section.split("."):
            preset, changed = preset[key], changed[key]
        assert changed.keys() == {key for key in preset if "epochs" in key or "every" in key}
        for key, value in changed.items():
            assert value >= preset[key]
            assert value * train >= preset[key] * of * (1 - 1e-9)  # no fewer images are seen than in the embedded experiment
            assert value == preset[key] or (value - 1) * train < preset[key] * of * (1 + 1e-9)  # nor an epoch more than that takes
    assert found["synthesize"]["badood"]["badood"]["per_image"] * train >= 1800
    assert 1 <= found["score"]["knn_k"] <= train and all(k <= train for k in found["score"]["knn_more"])


PRESET = {
    "prepare": {"id": {"val_share": 0.15, "test_share": 0.25}},
    "score": {"knn_k": 50, "knn_more": [10, 100, 200]},
    "pretrain": {
        "encoder": {"moco": {"epochs": 10, "warmup_epochs": 2, "validate_every": 4, "width": 128}},
        "rdm": {"rcg": {"epochs": 35}},
        "mage": {"rcg": {"epochs": 22, "vqgan_epochs": 12, "warmup_epochs": 0}},
    },
    "train": {"recipes": {"scratch": {"energy": {"epochs": 7, "warmup_epochs": 2, "beta": 0.2}}}},
}


def refused(project, name, images, ood=None):
    with pytest.raises(PenumbraError) as caught:
        init(name, images, ood)
    assert not list((project / "project/conf/experiment").glob(f"{name}*")) or name == "digits"
    return str(caught.value)


def test_what_cannot_be_an_experiment_is_named_with_the_remedy(project):
    fine = pictures(project / "fine", ["a", "b"])
    assert "no name of an experiment" in refused(project, "../evil", fine)
    assert "is there already" in refused(project, "digits", fine)
    assert "is no folder" in refused(project, "mine", project / "nowhere")
    assert "a detector needs two" in refused(project, "mine", pictures(project / "one", ["a"]))
    assert "lie in no sub-folder" in refused(project, "mine", pictures(project / "flat", ["", "a", "b"]))
    few = pictures(pictures(project / "few", ["a", "b"]), ["c"], 3)
    assert f"{few / 'c'}: 3 images are too few; a class needs 12" in refused(project, "mine", few)
    (project / "words/a").mkdir(parents=True)
    (project / "words/a/x.txt").write_text("no picture")
    assert "holds no image that can be opened (a/x.txt: not an image)" in refused(project, "mine", project / "words")
    assert "is no folder" in refused(project, "mine", fine, project / "nowhere")


def test_a_file_that_is_no_image_is_named_and_does_not_stop(project):
    mixed = pictures(project / "mixed", ["a", "b"])
    (mixed / "a/0.png").write_bytes(b"broken")
    assert "a/0.png: not an image: data/images/quarantine.csv will list all such files." in init("mine", mixed, None)


def test_one_picture_under_two_classes_is_said(project):
    mixed = pictures(project / "mixed", ["a", "b", "c"])
    assert "one picture" not in init("before", mixed, None)
    shutil.copy(mixed / "a/3.png", mixed / "c/copy.png")
    shutil.copy(mixed / "a/3.png", mixed / "a/copy.png")  # of its own class, which says nothing wrong
    said = init("mine", mixed, None)
    assert "a/3.png and c/copy.png are one picture under two classes. Leave out what it does not show" in said
    shutil.copy(mixed / "b/0.png", mixed / "a/b.png")
    assert "a/3.png and c/copy.png are one picture under two classes (1 of 2 such pairs)." in init("again", mixed, None)


def test_of_a_large_folder_a_part_is_opened(project, monkeypatch):
    monkeypatch.setattr("penumbra.workflow.init.OPENED", 5)
    found = look(pictures(project / "many", ["a", "b"], 20))
    assert found.classes.total() == 40 and len(found.sides) == 5
