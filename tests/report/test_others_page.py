"""Scores that were made elsewhere on the page: beside ours, and marked."""

from types import SimpleNamespace

import pandas as pd
import pytest

from penumbra.benchmark.params import Other
from penumbra.benchmark.step import main
from penumbra.report import others
from penumbra.report.content import read_csv
from penumbra.report.sections.benchmark import _sets
from synthetic_results import DETECTORS, SETS, benchmark_stage


@pytest.fixture(scope="module")
def tables(results_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    ours = pd.read_parquet(results_data / "scores/none.parquet")
    ours = ours[(ours.seed == 0) & ours.group.isin(["id", "near", "far"])]
    pd.DataFrame({"image": ours.sample_id, "score": ours.energy}).to_csv(folder / "theirs.csv", index=False)
    entry = {"theirs": Other(path=str(folder / "theirs.csv"), higher="ood").model_dump()}
    main(benchmark_stage(results_data, folder / "reports", {"benchmark.others": entry}))
    return {path.stem: read_csv(path) for path in (folder / "reports/tables").glob("*.csv")}


def test_near_and_far_stand_below_our_detectors_and_say_where_they_are_from(tables):
    (block,) = others.blocks(SimpleNamespace(tables=tables))
    assert block.table.header[:3] == ["detector", "made", "score"] and "theirs.csv, 1 seed)" in block.caption
    assert [row[:2] for row in block.table.rows] == [*([name, "here"] for name in DETECTORS), ["theirs", "elsewhere"]]
    near = tables["others"].set_index("set").auroc_mean["near"]
    assert block.table.rows[-1][3 + 1] == f"{100 * near:.1f}" and block.table.rows[-1][-1] == "–"


def test_every_test_set_has_a_row_of_them(tables):
    table = _sets(SimpleNamespace(tables=tables))
    assert sum(row[1] == "theirs (elsewhere)" for row in table.rows) == len(SETS)
    assert len(table.rows) == len(SETS) * (len(DETECTORS) + 1)


def test_without_them_the_page_says_nothing(tables):
    mine = {name: table for name, table in tables.items() if name != "others"}
    assert others.blocks(SimpleNamespace(tables=mine)) == [] and len(_sets(SimpleNamespace(tables=mine)).rows) == len(SETS) * len(DETECTORS)
