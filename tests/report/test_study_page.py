"""What a study adds to the page."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from penumbra.benchmark import study as tables
from penumbra.report import paper, study
from synthetic_results import benchmarked, report_stage, studied


@pytest.fixture
def stage(results_data, tmp_path):
    return report_stage(results_data, benchmarked(results_data), tmp_path)


@pytest.fixture
def tested(results_data):
    return pd.read_csv(benchmarked(results_data) / "tables/claims.csv")


def test_a_study_of_other_data_is_not_shown(stage, results_data, tested, tmp_path):
    assert len(study.read(stage, tested)["claims"])
    folder = tmp_path / "other"
    folder.mkdir()
    for path in studied(results_data).iterdir():
        (folder / path.name).write_text(path.read_text().replace("mnist: 0, 1, 2, 3, 4, 5", "birds"))
    assert study.read(replace(stage, reads=stage.reads | {"benchmarks/study": folder}), tested) == {}


def test_no_study_is_no_fault(stage, tested, tmp_path):
    (tmp_path / "empty").mkdir()
    assert study.read(replace(stage, reads=stage.reads | {"benchmarks/study": tmp_path / "empty"}), tested) == {}


def test_an_experiment_with_one_method_is_shown_what_is_about_it(results_data, tmp_path, tested):
    alone = report_stage(results_data, benchmarked(results_data), tmp_path, name="good")
    found = study.read(alone, tested[tested.source.str.startswith("GOOD")])
    assert set(found["detectors"].detector) <= {"none", "good-none", "good-all", "good-unguided-all"}
    assert not found["claims"].source.str.startswith("SONA").any()


def test_tables_for_papers_have_the_effects_with_their_intervals(stage, tested):
    shown = study.read(stage, tested)
    run = {name: pd.read_csv(stage.read("tables") / f"{name}.csv") for name in ("detectors", "scores", "claims")}
    made = paper.tables(run, shown)
    effects = made["study-effects"]
    row = (
        shown["claims"].set_index(["claim", "measure"]).loc[("Training on mid-confidence outliers is better than on ID alone", "AUROC far")]
    )
    (place,) = (place for place, cells in enumerate(effects.rows) if cells[:3] == ["badood-mid", "none", "energy"])
    assert effects.rows[place][5] == study.interval(*(100 * row[["difference", "low", "high"]]), 1)
    assert ((place, 5) in effects.best) == (row.verdict != "undecided")
    assert len(made["study-claims"].rows) == len(shown["claims"]) and len(made["study-detectors"].rows) == len(shown["detectors"])
    lines = paper.latex(effects).splitlines()
    assert [line for line in lines if line.endswith("rule")] == ["\\toprule", "\\midrule", "\\bottomrule"]
    assert "study-effects" not in paper.tables(run, {})


def test_numbers_stand_with_their_intervals(stage, tested):
    shown = study.read(stage, tested)
    (row,) = (row for row in study.detectors(shown, {"near_auroc": ("near AUROC", True)}).rows if row[0] == "none")
    assert re.fullmatch(r"\d+\.\d \[-?\d+\.\d, \d+\.\d\]", row[2])
    assert study.interval(0.5, float("nan"), float("nan"), 2) == "0.50" and study.interval(*[float("nan")] * 3, 2) == "–"
    counted = study.tallies(shown["claims"])
    assert sum(sum(verdicts.values()) for verdicts in counted.values()) == len(shown["claims"])
    assert len(tables.read_rows(stage.read("benchmarks/study"), "runs")) == 3
