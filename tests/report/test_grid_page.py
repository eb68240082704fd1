"""Heat maps of a grid: a panel for each score, rescaled to its own range, holes left empty; and the table beside them."""

from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from penumbra.grid.params import Grid
from penumbra.report import grid, style


def table(scores=("msp", "energy", "knn"), detectors=("none",), size=8) -> pd.DataFrame:
    """energy rises by a tenth with each level of the semantic shift and nothing else, msp is equal everywhere, others follow the other."""
    values = {"energy": lambda s, c: s / 10 - 3, "msp": lambda s, c: -0.5}
    rows = [
        {"grid": "mine", "detector": detector, "score": score, "semantic": s, "covariate": c, "images": 5}
        | {"value_mean": values.get(score, lambda s, c: float(c))(s, c), "value_std": 0.1}
        for detector in detectors
        for score in scores
        for s in range(size)
        for c in range(size)
    ]
    return pd.DataFrame(rows)


def test_a_panel_is_rescaled_and_the_most_anomalous_cell_is_at_the_lower_end(drawn):
    grid.heat_maps(table())
    msp, energy, knn = drawn["axes"][:3]
    assert [ax.get_title().strip() for ax in (msp, energy, knn)] == ["msp", "energy", "knn"]
    assert [ax.texts[0].get_text() for ax in (msp, energy, knn)] == ["-0.5 to -0.5", "-3 to -2.3", "0 to 7"]
    shown = energy.collections[0].get_array().reshape(8, 8)
    np.testing.assert_allclose(shown[:, 3], np.linspace(0, 1, 8), atol=1e-12)
    assert (shown == shown[:, :1]).all()
    assert (msp.collections[0].get_array() == 0).all()
    low, high = energy.get_ylim()
    assert low > high  # downwards
    assert [label.get_text() for label in knn.get_xticklabels()] == ["0", "2", "4", "6"]


def test_a_cell_without_images_is_left_empty(drawn):
    cells = table(["knn"])
    grid.heat_maps(cells[(cells.semantic != 3) | (cells.covariate != 5)][lambda rows: rows.covariate != 1])
    shown = drawn["axes"][0].collections[0].get_array().reshape(8, 8)
    assert shown.mask[3, 5] and shown.mask[:, 1].all() and shown.mask.sum() == 9


def test_there_is_a_figure_for_each_detector_and_equal_tables_give_equal_files():
    made = table(detectors=("none", "badood-mid"))
    drawn = grid.figures({"grid": made})
    assert list(drawn) == ["grid-mine-none", "grid-mine-badood-mid"] and grid.figures({}) == {}
    for content in drawn.values():
        text = content.svg.decode()
        ElementTree.fromstring(text)
        assert "<image" not in text  # lines and letters, sharp at every size
    assert grid.figures({"grid": made}) == drawn


@pytest.mark.parametrize("count", [1, 5, 6, 30])
def test_many_scores_fill_rows_of_panels(drawn, count):
    grid.heat_maps(table([f"score-{i:02d}" for i in range(count)], size=2))
    panels = [ax for ax in drawn["axes"] if ax.get_title()]
    assert len(panels) == count and panels[0].figure.get_figwidth() == style.WIDTH
    assert panels[0].get_ylabel() == "semantic shift" and panels[-1].get_xlabel() == "covariate shift"


def test_the_page_says_what_a_grid_is_made_of_and_how_far_scores_follow_it():
    cells = pd.DataFrame(
        [["mine", "none", score, 0.9, 0.01, 0.2, 0.02] for score in ("msp", "knn")],
        columns=["grid", "detector", "score", "semantic_mean", "semantic_std", "covariate_mean", "covariate_std"],
    )
    spec = {"novel": ["mnist-6-9"], "levels": 8, "shift": "noise", "strongest": 0.5, "per_cell": 60}
    params = SimpleNamespace(grid=Grid(morphs={"mine": spec}, folder={}, detectors=["none"]))
    figure, numbers = grid.blocks(SimpleNamespace(tables={"sensitivity": cells}, params=params))
    assert figure.figure == "grid-mine-none" and "on their way to mnist-6-9, under noise up to 0.5; 60 images a cell" in figure.caption
    assert numbers.table.rows == [["none on mine", "msp", "0.90 ± 0.01", "0.20 ± 0.02"], ["", "knn", "0.90 ± 0.01", "0.20 ± 0.02"]]
    assert grid.blocks(SimpleNamespace(tables={}, params=params)) == []
