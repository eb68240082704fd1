"""The numbers of the papers: all are there, once, in their range, and what of ours stands beside them exists."""

import ast

import pandas as pd
import pytest

from penumbra.benchmark import papers
from penumbra.errors import PenumbraError

# (rows, numbers) of each table, counted in the paper; a dash in the paper is no number
COUNTED = {
    ("Bad-OOD", "Table 1"): (17 + 5, 17 * 10 + 5 * 10),  # ImageNet-100: 15 with ResNet-34, 2 with ResNet-101; CIFAR-100
    ("Bad-OOD", "Table 2"): (11, 11 * 3),
    ("Bad-OOD", "Table 3"): (3, 3 * 6),  # images and shares of three types
    ("Bad-OOD", "Table 4"): (3, 3 * 4),
    ("Bad-OOD", "Table 5"): (4, 4 * 4),
    ("Bad-OOD", "Table 6"): (3, 3 * 10),
    ("Bad-OOD", "Table 7"): (6, 6 * 3 - 2),  # RankFeat has no AUPR
    ("Bad-OOD", "Table 8"): (9, 2 * 9 * 2 + 9),  # three methods: before and after with images and shares, reduced with shares
    ("Bad-OOD", "Table 9"): (6, 3 * 4),  # three ID sets of two methods
    ("Bad-OOD", "Table 10"): (2, 2 * 10),
    ("Bad-OOD", "Table 11"): (3, 3),
    ("Bad-OOD", "Table 12"): (5, 5 * 3),
    ("Bad-OOD", "Table 13"): (2, 2 * 10),
    ("Bad-OOD", "Table 14"): (3, 3 * 13 - 1),  # Fake it has no seconds
    ("Bad-OOD", "Table 15"): (2, 2 * 8),
    ("Bad-OOD", "Table 16"): (2, 2 * 8),
    ("Bad-OOD", "Table 17"): (6, 6),
    ("GOOD", "Table 1"): (16, 16 * 11),
    ("GOOD", "Table 2"): (5, 5 * 12),
    ("GOOD", "Table 3"): (5, 5 * 3),  # Table 4 has no numbers
    ("SONA", "Table 1"): (17, 17 * 8 - 2),  # CIDER and NPOS have no ID accuracy
    ("SONA", "Table 2"): (4, 4 * 2),
    ("SONA", "Table 3"): (5, 5 * 2),
    ("SONA", "Table 4"): (3, 3 * 2),
    ("SONA", "Table 5"): (26, 26 * 6 - 2),  # CIDER and NPOS have no ID accuracy
    ("SONA", "Table 6"): (9, 9 * 8),
    ("SONA", "Table 7"): (4, 4 * 6),
    ("SONA", "Table 8"): (5, 5 * 2),
    ("SONA", "Table 9"): (4, 4 * 2),
    ("SONA", "Table 10"): (4, 4 * 3),
    ("SynOOD", "Table 1"): (3, 10 + 10 + 3),  # as others quote it
    ("SynOOD", "Table 2"): (2, 2 * 4),
    ("SynOOD", "4.1"): (1, 2),
    ("SynOOD", "4.2"): (1, 2),
}
LARGEST = {"feature distance": 1, "milliseconds an image": 10, "seconds for 100 samples": 1000}
LARGEST |= {f"OOD-{kind} images": 500 for kind in ("I", "II", "III")}


@pytest.fixture(scope="module")
def table():
    return papers.read("papers")


def test_every_table_has_as_many_rows_and_numbers_as_in_its_paper(table):
    rows = table.assign(data=table.data_set.str.partition(" / ")[0])
    found = {}
    for key, part in rows.groupby(["paper", "table"], sort=False):
        by = ["row", "data"] if key in (("Bad-OOD", "Table 1"), ("Bad-OOD", "Table 9")) else ["row"]  # the others have one part
        found[key] = (len(part[by].drop_duplicates()), len(part))
    assert found == COUNTED


def test_every_value_is_a_number_in_the_range_of_its_metric(table):
    for row in table.itertuples():
        value = float(row.value)
        assert 0 <= value <= LARGEST.get(row.metric, 100), row
        assert row.metric not in ("AUROC", "AUPR") or value > 40, row
    assert set(papers.PERCENT) <= set(table.metric)


def test_no_number_stands_there_twice(table):
    assert not table.duplicated(["paper", "table", "row", "data_set", "metric"]).any()
    assert not papers.read("beside").duplicated(["table", "name", "by", "source"]).any()
    assert not papers.read("claims").claim.duplicated().any()


def test_what_the_text_has_printed_of_some_tables(table):
    """A few numbers of each paper, read in its text."""
    assert papers.printed("Bad-OOD, Table 2", "Mixed, Mid (0.3-0.5)") == {
        ("FPR95", "average"): 0.3969,
        ("AUROC", "average"): 0.9171,
        ("AUPR", "average"): 0.8713,
    }
    assert papers.printed("GOOD, Table 3", "(4) Balanced Sampling")["ID accuracy", ""] == 0.8716
    assert papers.printed("SONA, Table 3", "ID + OOD without nuisance filtering") == {("AUROC", "near"): 0.8257, ("AUROC", "far"): 0.9389}
    assert papers.printed("Bad-OOD, Table 8", "SONA, after")["OOD-II share", ""] == 0.124
    sona = table[(table.paper == "SONA") & (table.table == "Table 1") & (table.row == "SONA")].set_index("data_set")
    assert sona.value["ImageNet-200 / OpenImage-O"] == "96.28" and sona.note["ImageNet-200 / OpenImage-O"] == "± 0.24 over 5 trials"


def test_a_mean_is_about_that_of_its_sets(table):
    """Where the paper's own sum is right; a wrong digit would move it."""
    good = table[(table.paper == "GOOD") & (table.table == "Table 1") & table.metric.isin(["FPR95", "AUROC"])].copy()
    good["value"] = good.value.astype(float)
    for _, part in good.groupby(["row", "metric"]):
        mean = part.data_set.str.endswith("average")
        assert part.value[~mean].mean() == pytest.approx(part.value[mean].iloc[0], abs=0.06)


def test_near_and_far_have_the_average_where_a_paper_prints_no_other():
    numbers = {("AUROC", "average"): 0.9, ("FPR95", "near"): 0.2}
    assert papers.value(numbers, "AUROC", "near") == 0.9 and papers.value(numbers, "FPR95", "near") == 0.2
    assert pd.isna(papers.value(numbers, "FPR95", "far")) and pd.isna(papers.value(numbers, "AUROC"))


@pytest.mark.parametrize("row", list(papers.read("beside").itertuples(index=False)), ids=lambda row: f"{row.table} {row[1]} {row.by}")
def test_every_row_beside_ours_is_printed(row):
    assert papers.printed(row.source, row.row)


def test_a_row_says_its_means_or_what_it_says_of_one_test_set():
    assert papers.printed("SONA, Table 1", "SONA / NINCO") == {("AUROC", ""): 0.8976}
    assert papers.printed("SONA, Table 10", "EBO / SONA's own") == {("AUROC", ""): 0.678}


@pytest.mark.parametrize("row", ["nothing", "CE / nothing"])
def test_a_row_that_no_paper_has_is_named(row):
    with pytest.raises(PenumbraError, match=rf"SONA, Table 4 has no row '{row}'"):
        papers.printed("SONA, Table 4", row)


def test_means_of_several_id_data_sets_are_not_mixed():
    with pytest.raises(PenumbraError, match=r"Bad-OOD, Table 9, row Ours has several values of FPR95 average"):
        papers.printed("Bad-OOD, Table 9", "Ours")


def test_no_number_of_a_paper_stands_in_code(table):
    """Shares as the papers print them, of at least three digits, in no module of benchmark and report."""
    printed = {papers.share(row.metric, row.value) for row in table.itertuples() if len(row.value.replace(".", "").strip("0")) > 2}
    for room in ("benchmark", "report"):
        for path in (papers.FOLDER.parent / room).rglob("*.py"):
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            constants = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, float)}
            assert not constants & printed, path
