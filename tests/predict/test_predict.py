"""predict on a small repository that the project's own steps have filled: answers are those of score, in any order and form."""

import io
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from asked_repository import CLASSES, COUNTS
from PIL import Image
from safetensors.torch import load_file, save_file

import penumbra
from penumbra.artifacts.images import encode, read_pixels, read_provenance
from penumbra.errors import PenumbraError

EVERY = ["msp", "max_logit", "energy", "knn", "knn_1", "confidence", "vim", "far", "cool"]
SCORES = {"none": [*EVERY, "cut"], "clip": [*EVERY, "mcm", "neglabel"]}


@pytest.fixture(scope="module")
def loaded(root) -> dict:
    return {name: penumbra.load_detector(root / "data/detectors" / name) for name in ("none", "clip")}


@pytest.fixture
def here(root, tmp_path, monkeypatch, run) -> SimpleNamespace:
    """The repository as working directory, pictures elsewhere, and the command."""
    monkeypatch.chdir(root)
    pixels = read_pixels(root / "data/images/test.parquet")
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(encode(pixels[index]))

    return SimpleNamespace(run=partial(run, "predict"), pictures=tmp_path)


@pytest.mark.parametrize("name", ["none", "clip"])
def test_answers_are_the_means_over_seeds_of_what_score_writes(root, loaded, name):
    written = pd.read_parquet(root / f"data/scores/{name}.parquet")
    of_test = written[written.group == "test"]
    means = of_test.groupby("sample_id")[SCORES[name]].mean()
    answers = loaded[name].predict(read_pixels(root / "data/images/test.parquet"), scores=True)
    assert list(answers) == ["image", "predicted", "p_ood", "score", "ood", *answers.columns[5:]]
    assert set(answers.columns[5:]) == set(SCORES[name])
    np.testing.assert_allclose(answers[SCORES[name]], means, rtol=1e-4)
    headline = {"none": "vim", "clip": "neglabel"}[name]
    np.testing.assert_array_equal(answers[["p_ood", "score"]], answers[["confidence", headline]])
    assert answers.image.tolist() == [str(index) for index in range(COUNTS["test"])]
    both = of_test.groupby("sample_id").predicted.agg(["min", "max"])
    agreed = (both["min"] == both["max"]).to_numpy()
    assert agreed.any() and (answers.predicted[agreed] == [CLASSES[label] for label in both["min"][agreed]]).all()


def test_neither_order_nor_batches_matter(root, loaded, monkeypatch):
    images = read_pixels(root / "data/images/test.parquet")
    for detector in loaded.values():
        answers = detector.predict(images)
        monkeypatch.setenv("PENUMBRA_INFERENCE_BATCH", "2")
        other = detector.predict(image for image in images[::-1])
        monkeypatch.delenv("PENUMBRA_INFERENCE_BATCH")
        other = other[::-1].reset_index(drop=True)
        pd.testing.assert_frame_equal(other.drop(columns="image"), answers.drop(columns="image"), rtol=1e-5)


@pytest.mark.parametrize("accept", [0.5, 0.9, 1.0])
def test_the_threshold_accepts_the_share_of_validation(root, loaded, accept):
    for detector in loaded.values():
        answers = detector.predict(read_pixels(root / "data/images/val.parquet"), accept=accept)
        assert (~answers.ood).sum() == pytest.approx(accept * COUNTS["val"], abs=1.01)
        assert (answers.ood == (answers.score > detector.threshold(accept))).all()
    with pytest.raises(PenumbraError, match="accept = 0: must be a share"):
        detector.predict([], accept=0)


def test_a_picture_is_the_same_in_every_form_and_of_any_size(loaded, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (30, 41, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture, tensor = Image.open(tmp_path / "a.png"), torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    forms = [str(tmp_path / "a.png"), tmp_path / "a.png", picture, pixels, tensor, tensor.half()]
    answers = loaded["none"].predict(forms)
    assert answers.image.tolist() == [str(tmp_path / "a.png")] * 2 + ["2", "3", "4", "5"]
    assert (answers.drop(columns="image") == answers.drop(columns="image").iloc[0]).all(axis=None)
    assert picture.getpixel((0, 0)) == tuple(pixels[0, 0])  # it is still open
    assert len(loaded["none"].predict(tensor)) == len(loaded["none"].predict(picture)) == 1
    grey = loaded["none"].predict([pixels[..., 0], np.repeat(pixels[..., :1], 3, axis=2)]).drop(columns="image")
    assert (grey.iloc[0] == grey.iloc[1]).all()


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((4, 4, 3)), r"is an array of float64 \[4, 4, 3\]"),
        (np.zeros((4, 4), np.float16), r"is an array of float16 \[4, 4\]. Give uint8"),
        (np.zeros((3, 4, 4), np.uint8), r"is an array of uint8 \[3, 4, 4\]"),
        (torch.zeros(4, 4, 3), r"is a tensor of float32 \[4, 4, 3\]"),
        (torch.full((3, 4, 4), 2.0), r"values outside \[0, 1\]"),
        (None, "is a NoneType. Give a path"),
        ("nowhere.png", "missing file"),
    ],
)
def test_what_is_no_picture_is_named(loaded, image, reason):
    with pytest.raises(PenumbraError, match=reason):
        loaded["none"].predict([image])


def test_a_file_that_cannot_be_read_is_skipped_and_said(here):
    whole = (here.pictures / "0.png").read_bytes()
    (here.pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    status, out, err = here.run("none", here.pictures)
    assert status == 3 and f"penumbra: {here.pictures / 'cut.png'}: unreadable: " in err and "1 could not be read" in err
    lines = out.splitlines()
    assert lines[0].split() == ["image", "predicted", "p_ood", "score", "ood"]
    assert [line.split()[0] for line in lines[1:]] == [str(here.pictures / f"{index}.png") for index in range(3)]


def test_files_folders_patterns_and_standard_input(here, monkeypatch):
    (here.pictures / "more/.hidden").mkdir(parents=True)
    for target in ("more/b é.png", "more/.hidden/no.png"):
        (here.pictures / target).write_bytes((here.pictures / "0.png").read_bytes())
    text = f"{here.pictures / 'more'}\n\n{here.pictures / '0.png'}\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    status, _, err = here.run("none", here.pictures / "[12].png", here.pictures / "2.png", "-", "--out", here.pictures / "a.csv")
    assert status == 0 and "of 4 are OOD for none: vim above" in err
    names = [Path(name).name for name in pd.read_csv(here.pictures / "a.csv").image]
    assert names == ["1.png", "2.png", "b é.png", "0.png"]


def test_every_format_reads_back_equal(here, loaded):
    expected = loaded["none"].predict(sorted(here.pictures.glob("*.png")), accept=0.8, scores=True)
    for suffix in ("csv", "jsonl", "parquet"):
        out = here.pictures / f"out/answers.{suffix}"
        status, text, _ = here.run("none", here.pictures / "*.png", "--out", out, "--accept", 0.8, "--scores")
        assert (status, text) == (0, "")
    found = pd.read_csv(here.pictures / "out/answers.csv", dtype={"predicted": str})
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    rows = [json.loads(line) for line in (here.pictures / "out/answers.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == expected.to_dict("records")
    pd.testing.assert_frame_equal(pd.read_parquet(here.pictures / "out/answers.parquet"), expected, check_exact=True)
    asked = read_provenance(here.pictures / "out/answers.parquet")
    assert asked == {"detector": "none", "score": "vim", "accept": 0.8, "threshold": loaded["none"].threshold(0.8)}


def test_one_line_says_what_is_wrong(here):
    (here.pictures / "empty").mkdir()
    (here.pictures / "text.png").write_text("no image")
    picture = here.pictures / "0.png"
    for arguments, line in {
        ("badod-mid", picture): "penumbra: params.yaml: there is no detector 'badod-mid' in train.detectors. Did you mean badood-mid?",
        ("sona-all", picture): "penumbra: data/detectors/sona-all: is not there yet. Run `penumbra repro infer@sona-all` to make it.",
        ("none", here.pictures / "empty"): f"penumbra: predict: there is no image in {here.pictures / 'empty'}. Name files, ",
        ("none", here.pictures / "text.png"): "penumbra: predict: none of 1 files could be read as an image.",
        ("none", picture, "--accept", "95"): "penumbra: accept = 95: must be a share",
        ("none", picture, "--out", "a.txt"): "penumbra: a.txt: ends in none of .csv, .jsonl, .parquet",
        ("./none", picture): "penumbra: ./none: is no folder of a detector: it does not exist.",
    }.items():
        status, out, message = here.run(*arguments)
        assert (status, out) == (1, "") and message.startswith(line) and "\n" not in message


def test_outputs_of_another_training_are_refused(root):
    path = root / "data/detectors/none/seed-2/model.safetensors"
    kept, state = path.read_bytes(), load_file(path)
    try:
        save_file(state | {"fc.weight": state["fc.weight"] + 0.1}, path)
        with pytest.raises(PenumbraError, match=r"data/outputs/none: is of another training .*`penumbra repro infer@none`"):
            penumbra.load_detector(root / "data/detectors/none")
        save_file(state | {"fc.bias": state["fc.bias"] * float("nan")}, path)
        with pytest.raises(PenumbraError, match="detector none/seed-2: output for image 0 is NaN or infinite"):
            penumbra.load_detector(root / "data/detectors/none").predict(np.zeros((4, 4, 3), np.uint8))
    finally:
        path.write_bytes(kept)
