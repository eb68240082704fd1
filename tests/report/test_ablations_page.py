"""Tables and curves of the section about ablations, on made-up results."""

from xml.etree import ElementTree

import pandas as pd
import pytest

from penumbra.report.ablations import family_table, figures
from synthetic_results import benchmarked


@pytest.fixture(scope="module")
def table(results_data):
    return pd.read_csv(benchmarked(results_data) / "tables/ablations.csv", keep_default_na=False, na_values=[""])


def test_families_whose_labels_hold_numbers_have_curves(table):
    drawn = figures(table)
    assert set(drawn) == {"ablation-weight", "ablation-stop", "ablation-amount"}
    for content in drawn.values():
        ElementTree.fromstring(content.svg)
    assert figures(table) == drawn


def test_columns_without_a_number_are_left_out(table):
    of_good, of_sona = (family_table(table[table.family == name].reset_index(drop=True)) for name in ("weight", "stop"))
    assert "paper AUROC" in of_good.header and "paper near AUROC" not in of_good.header and "score" in of_good.header
    assert "paper near AUROC" in of_sona.header and "distance" in of_sona.header and "score" not in of_sona.header
    assert all(len(row) == len(of_sona.header) for row in of_sona.rows)
