"""The section of the bands: which methods it warns of."""

import re

import pandas as pd

from penumbra.report.content import Block
from penumbra.report.page import environment
from penumbra.report.sections.filter import agreement
from synthetic_results import benchmarked


def test_a_method_that_draws_id_is_marked(results_data):
    """Where more than 30% of its candidates pass as ID."""
    table = pd.read_csv(benchmarked(results_data) / "tables/agreement.csv").iloc[:2].assign(accepted=[0.3, 0.301])
    (block,) = agreement(table)
    assert [cell for cell in cells(block) if "⚠" in cell] == ['<td class="warned">30.1 ⚠&#xFE0E;</td>']
    assert agreement(table[:0]) == []


def cells(block: Block) -> list[str]:
    """Cells of a table, as the page has them."""
    return re.findall(r"<t[dh].*?</t[dh]>", environment().get_template("table.html").module.table(block.table))
