"""The table of sweeps: a row for each combination that was tried, of the detectors of params.yaml."""

import pandas as pd

from penumbra.artifacts.tables import SWEPT, write_parquet
from penumbra.benchmark.sweeps import COLUMNS, described, table
from penumbra.stage import Params, Stage


def candidate(values, auroc, taken):
    return {"values": values, "auroc": auroc, "taken": taken}


def test_every_candidate_is_a_row_by_score_detector_and_seed(tmp_path):
    (tmp_path / "scores").mkdir()
    tried = {
        "0": {"b": [candidate({"k": 1}, 0.5, False), candidate({"k": 2}, 0.75, True)], "a": [candidate({"m": None}, 0.6, True)]},
        "1": {"b": [candidate({"k": 1}, 0.5, True), candidate({"k": 2}, 0.25, False)], "a": [candidate({"m": None}, 0.7, True)]},
    }
    for name, more in {"none": {SWEPT: tried}, "plain": {}, "left-over": {SWEPT: tried}}.items():
        write_parquet(tmp_path / f"scores/{name}.parquet", pd.DataFrame({"seed": [0]}), {"stage": "score"} | more)
    params = Params({"train": {"detectors": {"none": {}, "plain": {}, "missing": {}}}, "rerun": {"detectors": []}})
    found = table(Stage("benchmark", None, params, reads={"scores": tmp_path / "scores"}))
    assert tuple(found.columns) == COLUMNS
    assert list(found[["score", "detector", "seed", "values", "taken"]].itertuples(index=False, name=None)) == [
        ("a", "none", 0, "m all", True),
        ("a", "none", 1, "m all", True),
        ("b", "none", 0, "k 1", False),
        ("b", "none", 0, "k 2", True),
        ("b", "none", 1, "k 1", True),
        ("b", "none", 1, "k 2", False),
    ]
    assert found.auroc.tolist() == [0.6, 0.7, 0.5, 0.75, 0.5, 0.25]


def test_without_sweeps_there_is_no_row(tmp_path):
    (tmp_path / "scores").mkdir()
    write_parquet(tmp_path / "scores/plain.parquet", pd.DataFrame({"seed": [0]}), {})
    params = Params({"train": {"detectors": {"plain": {}}}, "rerun": {"detectors": []}})
    assert table(Stage("benchmark", None, params, reads={"scores": tmp_path / "scores"})).empty


def test_values_are_said_in_words():
    assert described({"gamma": 0.1, "classes": None}) == "gamma 0.1, classes all"
