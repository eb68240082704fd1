"""`penumbra openood`: which detectors and scores it writes, and what it refuses."""

import re

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def here(root, monkeypatch):
    monkeypatch.chdir(root)
    return root


def test_it_writes_the_headline_score_of_every_detector(here, run, tmp_path):
    results = tmp_path / "results"
    frame = pd.read_parquet(here / "data/scores/none.parquet")
    params = (here / "params.yaml").read_text()
    assert "clip-synood" in params  # which is not scored here
    status, out, err = run("openood", results, "none", "clip")
    assert (status, err) == (0, "") and out.splitlines() == [f"{results}/none: energy", f"{results}/clip: neglabel"]
    with np.load(results / "none/s10/scores/test.npz") as arrays:
        expected = frame[(frame.seed == 10) & (frame["set"] == "test")]
        np.testing.assert_array_equal(arrays["conf"], -expected.energy.to_numpy(np.float64))
    assert not list(tmp_path.glob(".*"))


def test_another_score_may_be_asked_for(here, run, tmp_path):
    assert run("openood", tmp_path / "results", "none", "--score", "cool")[0] == 0
    assert (tmp_path / "results/none/ood/cool.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none", "--score", "sharp"), r"data/scores/none\.parquet: has no score 'sharp'\. Choose of: .*energy"),
        (("nobody",), "params.yaml: there is no detector 'nobody' in train.detectors. Choose of: "),
        ((), r"data/scores/\S+\.parquet: is not there yet\. Run `penumbra repro score@\S+` to make it"),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_is_written(here, run, tmp_path, arguments, message):
    status, _, err = run("openood", tmp_path / "results", *arguments)
    assert status == 1 and re.search(message, err), err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_left_alone(here, run, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/mine").touch()
    status, _, err = run("openood", tmp_path / "results")
    assert status == 1 and "exists and is not empty" in err and (tmp_path / "results/mine").exists()
