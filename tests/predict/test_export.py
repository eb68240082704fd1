"""An exported detector: it answers as the one in the repository does, wherever it lies, and notices what was changed."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from asked_repository import CLASSES
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

import penumbra
from penumbra.artifacts.images import encode, read_pixels
from penumbra.errors import PenumbraError
from penumbra.models.clip import Clip
from penumbra.predict import export
from penumbra.predict.tower import Tower, save_tower
from tiny_clip import write_tiny_clip, write_tiny_dual_encoder

KINDS = ("none", "clip")


@pytest.fixture(scope="module")
def exported(root, tmp_path_factory) -> dict[str, Path]:
    """Both detectors as directories of their own, moved away from where they were written; read-only by convention."""
    written, moved = tmp_path_factory.mktemp("written"), tmp_path_factory.mktemp("moved") / "é and more"
    for name in KINDS:
        export.export(str(root / "data/detectors" / name), written / name, onnx=False, torch=False)
    written.rename(moved)
    return {name: moved / name for name in KINDS}


@pytest.fixture
def copied(exported, tmp_path) -> Path:
    """A copy of the exported network that a test may damage."""
    return Path(shutil.copytree(exported["none"], tmp_path / "copied"))


@pytest.mark.parametrize("name", KINDS)
def test_it_answers_bit_for_bit_as_in_the_repository(root, exported, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # no repository here
    pictures = read_pixels(root / "data/images/ood.parquet")
    there, here = penumbra.load_detector(root / "data/detectors" / name), penumbra.load_detector(exported[name])
    pd.testing.assert_frame_equal(here.predict(pictures, scores=True), there.predict(pictures, scores=True), check_exact=True)
    assert (here.name, here.classes, here.score, here.image_size) == (there.name, CLASSES, there.score, there.image_size)
    for share in (0.3, 0.95, 1.0):
        assert here.threshold(share) == there.threshold(share)
    assert here.contents.config["thresholds"]["0.95"] == there.threshold(0.95)


def test_the_command_asks_it_by_path_and_by_name(root, exported, run, monkeypatch, tmp_path):
    (tmp_path / "a.png").write_bytes(encode(read_pixels(root / "data/images/test.parquet")[0]))
    monkeypatch.chdir(root)
    wanted = run("predict", "none", tmp_path / "a.png")[1]
    assert wanted.splitlines()[1].startswith(str(tmp_path / "a.png"))
    monkeypatch.chdir(exported["none"].parent)
    for place in ("none", "./none", exported["none"]):
        assert run("predict", place, tmp_path / "a.png")[:2] == (0, wanted)


def test_a_name_in_params_is_the_detector_of_the_repository(root, exported, run, monkeypatch, tmp_path):
    shutil.copytree(exported["clip"], tmp_path / "none")
    shutil.copytree(exported["clip"], tmp_path / "elsewhere")
    shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    assert "data/detectors/none: is not there yet" in run("predict", "none", tmp_path)[2]
    assert penumbra.load_detector("./none").name == penumbra.load_detector("elsewhere").name == "clip"


@pytest.mark.parametrize("name", KINDS)
def test_an_exported_one_is_exported_again_as_it_is(exported, name, run, tmp_path):
    status, out, _ = run("export", exported[name], tmp_path / name)
    assert status == 0 and out.startswith(f"{tmp_path / name}: ") and f"penumbra predict {tmp_path / name} IMAGE" in out
    files = sorted(path.relative_to(exported[name]) for path in exported[name].rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*") if path.is_file())
    assert [str(file) for file in files if (exported[name] / file).read_bytes() != (tmp_path / name / file).read_bytes()] == []
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / name).rglob("*") if path.is_file()} == {0o644}


def test_only_the_image_tower_of_clip_goes_along(root, exported):
    whole, tower = (
        load_file(place / "model.safetensors") for place in (root / "data/recipes/zero-shot/models/clip", exported["clip"] / "clip")
    )
    assert tower.keys() == {key for key in whole if not key.startswith("text_")} and any(key.startswith("text_") for key in whole)
    assert not (exported["none"] / "clip").exists()


@pytest.mark.parametrize("write", [write_tiny_clip, write_tiny_dual_encoder])
def test_a_tower_sees_what_clip_sees(write, tmp_path):
    write(tmp_path / "whole")
    save_tower(tmp_path / "whole", tmp_path / "tower")
    images = torch.rand(3, 3, 20, 20)
    wanted = Clip.load(tmp_path / "whole").embed_images(images)
    for folder in ("whole", "tower"):
        assert torch.equal(Tower.load(tmp_path / folder).embed_images(images), wanted)
    weights = tmp_path / "tower/model.safetensors"
    kept = {key: tensor for key, tensor in load_file(weights).items() if key != "visual_projection.weight"}
    save_file(kept, weights, {"format": "pt"})
    with pytest.raises(PenumbraError, match="tower: its file lacks the weights visual_projection.weight"):
        Tower.load(tmp_path / "tower")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "file", ["networks/seed-2/model.safetensors", "networks/seed-10/config.json", "banks/seed-10.safetensors", "validation.safetensors"]
)
def test_a_file_that_is_missing_or_changed_is_named(copied, run, file):
    path = copied / file
    for damage, what in ((_flip, "was changed since it was written"), (_cut, "bytes instead of"), (Path.unlink, "is missing")):
        damage(path)
        status, out, message = run("predict", copied, __file__)
        assert (status, out) == (1, "") and message.startswith(f"penumbra: {path}: ") and what in message and "\n" not in message


def test_config_is_read_with_suspicion(copied):
    path = copied / "config.json"
    config = json.loads(path.read_text())
    for content, reason in {
        json.dumps(config | {"classes": ["x"]}): "was changed since it was written",
        json.dumps(config | {"format_version": 2}): "is of format 2, and this Penumbra reads format 1",
        json.dumps({"architecture": "Detector"}): "is not of a detector that `penumbra export` wrote",
        "[]": "is not of a detector",
        "{": r"config.json: cannot be read \(",
    }.items():
        path.write_text(content)
        with pytest.raises(PenumbraError, match=reason):
            penumbra.load_detector(copied)
    path.unlink()
    with pytest.raises(PenumbraError, match="is no folder of a detector: it holds no config.json"):
        penumbra.load_detector(copied)


def test_the_card_may_be_edited_and_files_added(copied):
    (copied / "README.md").write_text("mine")
    (copied / ".gitattributes").write_text("*.safetensors filter=lfs")
    assert penumbra.load_detector(copied).name == "none"


def test_scores_of_another_version_are_named(copied):
    detector = penumbra.load_detector(copied)
    detector.contents.config["scores"].append("vanished")
    with pytest.raises(PenumbraError, match="the score vanished is unknown here; there are msp, "):
        detector.predict(np.zeros((4, 4, 3), np.uint8), scores=True)


@pytest.mark.parametrize("name", KINDS)
def test_the_card_is_one_that_the_hub_reads(exported, name):
    text = (exported[name] / "README.md").read_text(encoding="utf-8")
    card = ModelCard(text)
    assert card.data.license == "other" and card.data.pipeline_tag == "image-classification" and "ood-detection" in card.data.tags
    assert ("clip" in card.data.tags) == (name == "clip")
    assert f"# {name}\n" in text and "Classes: 3, cat, dog" in text and "None are recorded for this training" in text
    assert f"penumbra predict {name} photos/" in text and "It is the mean of 2 networks" in text


def test_what_is_there_is_not_replaced(root, run, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").touch()
    (tmp_path / "file").touch()
    for arguments, line in {
        ("none", tmp_path / "full"): f"{tmp_path / 'full'}: is not empty. Name a new folder",
        ("none", tmp_path / "file"): f"{tmp_path / 'file'}: is a file. Name a new folder",
        ("nne", tmp_path / "new"): "params.yaml: there is no detector 'nne' in train.detectors. Did you mean none?",
        ("sona-all", tmp_path / "new"): "data/detectors/sona-all: is not there yet. Run `penumbra repro infer@sona-all` to make it.",
    }.items():
        status, out, message = run("export", *arguments)
        assert (status, out) == (1, "") and message.startswith(f"penumbra: {line}") and "\n" not in message
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert run("export", root / "data/detectors/none", ".")[2].startswith("penumbra: .: is the working directory.")
    assert sorted(os.listdir(tmp_path)) == ["empty", "file", "full"] and os.listdir(tmp_path / "full") == ["mine"]
    monkeypatch.chdir(tmp_path)
    assert run("export", root / "data/detectors/none", "empty")[0] == 0 and (tmp_path / "empty/config.json").exists()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("failed writing file")])
def test_a_full_disk_leaves_nothing_behind(root, run, tmp_path, monkeypatch, error):
    def refuse(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("penumbra.predict.contents.write_bank", refuse)
    free = shutil.disk_usage("/")._replace(free=0)
    monkeypatch.setattr("penumbra.predict.export.shutil.disk_usage", lambda path: free)
    status, _, message = run("export", root / "data/detectors/none", tmp_path / "new")
    assert (status, message) == (1, f"penumbra: {tmp_path / 'new'}: the disk is full. Free some space and run again.")
    assert os.listdir(tmp_path) == []


def test_without_onnx_the_remedy_is_said(root, run, tmp_path, monkeypatch):
    monkeypatch.setattr("penumbra.predict.program.find_spec", lambda name: None if name == "onnxruntime" else name)
    message = run("export", root / "data/detectors/none", tmp_path / "new", "--onnx")[2]
    assert message == "penumbra: --onnx: onnxruntime not installed. Run `pip install penumbra[export]`."
    assert os.listdir(tmp_path) == []


def test_help_teaches_by_an_example(run):
    status, out, _ = run("export", "--help")
    assert status == 0 and "Example: penumbra export sona-all sona-all-v1 --onnx" in out and "penumbra.load_detector(" in out
