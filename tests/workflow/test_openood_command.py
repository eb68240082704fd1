"""`penumbra openood`: which detectors and scores it writes, and what it refuses."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from penumbra import cli
from penumbra.artifacts.tables import write_parquet
from synthetic_results import scores

PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
RERUN = "rerun: {detectors: [none], scores: {odin: {score: odin, temperature: 1, noise: 0}}}\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A repository where two detectors are scored, one of them again by stage rerun."""
    root = tmp_path / "repository"
    root.mkdir()
    assert "rerun: {detectors: [], scores: {}}\n" in PARAMS
    (root / "params.yaml").write_text(PARAMS.replace("rerun: {detectors: [], scores: {}}\n", RERUN), encoding="utf-8")
    for place, name in enumerate(("none", "clip")):
        write_parquet(root / f"data/scores/{name}.parquet", scores(np.random.default_rng(place), clip=name == "clip"), {})
    again = scores(np.random.default_rng(0))[["seed", "sample_id", "energy"]].rename(columns={"energy": "odin"})
    write_parquet(root / "data/scores/rerun/none.parquet", again, {})
    monkeypatch.chdir(root)
    return root


def test_it_writes_the_headline_score_of_each_detector(here, tmp_path, capsys):
    results = tmp_path / "results"
    cli.main(["openood", str(results), "none", "clip"])
    assert capsys.readouterr().out.splitlines() == [f"{results}/none: vim", f"{results}/clip: neglabel"]
    for name, score in {"none": "vim", "clip": "neglabel"}.items():
        frame = pd.read_parquet(here / f"data/scores/{name}.parquet")
        expected = frame[(frame.seed == 2) & (frame["set"] == "photos")]
        with np.load(results / name / "s2/scores/photos.npz") as arrays:
            np.testing.assert_array_equal(arrays["conf"], -expected[score].to_numpy(np.float64))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["repository", "results"]


@pytest.mark.parametrize("score", ["knn", "odin"])
def test_another_score_may_be_asked_for_also_of_rerun(here, tmp_path, score):
    cli.main(["openood", str(tmp_path / "results"), "none", "--score", score])
    assert (tmp_path / f"results/none/ood/{score}.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none", "--score", "sharp"], r"data/scores/none\.parquet: has no score 'sharp'\. Choose of: .*energy.*odin"),
        (["clip", "--score", "odin"], r"data/scores/clip\.parquet: has no score 'odin'"),
        (["nobody"], r"params\.yaml: there is no detector 'nobody' in train\.detectors\. Choose of: none"),
        ([], r"data/scores/\S+\.parquet: is not there yet\. Run `penumbra repro score@\S+` to make it"),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_is_written(here, tmp_path, arguments, message):
    with pytest.raises(SystemExit) as end:
        cli.main(["openood", str(tmp_path / "results"), *arguments])
    assert re.search(message, str(end.value)), end.value
    assert sorted(path.name for path in tmp_path.iterdir()) == ["repository"]


def test_a_folder_that_holds_something_is_left_alone(here, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/mine").touch()
    with pytest.raises(SystemExit, match="exists and is not empty"):
        cli.main(["openood", str(tmp_path / "results")])
    assert (tmp_path / "results/mine").exists()
