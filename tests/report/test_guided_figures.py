"""Figures of GOOD's appendix: which panel is of which strength, and which colour is of which way."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from penumbra.benchmark.guided import ID
from penumbra.report import guided, style
from penumbra.report.methods import good
from penumbra.synthesize.good.params import Good
from synthetic_results import GIVEN

CURVE = {"value": [0.0, 1.0, 2.0], "density": [0.1, 0.7, 0.2]}


def histograms(pairs):
    """Rows of plots/guided-strengths.csv of one guidance; the density of a strength is its rho."""
    of_id = pd.DataFrame(CURVE | {"rho": np.nan, "mu": np.nan})
    return pd.concat([of_id, *(pd.DataFrame(CURVE | {"rho": rho, "mu": mu, "density": rho}) for rho, mu in pairs)])


def heights(ax):
    """Of the histograms of a panel; each is a filled one and its outline."""
    found = [max(patch.get_data().values) for patch in ax.patches]
    assert found[::2] == found[1::2] and max(found) <= ax.get_ylim()[1]
    return found[::2]


def test_rho_goes_to_the_right_and_mu_down(drawn):
    guided.strengths(histograms([(rho, mu) for rho in (1.0, 2.0, 5.0) for mu in (0.1, 4.0)]), "energy")
    axes = drawn["axes"]
    assert [ax.get_title() for ax in axes] == ["rho 1", "rho 2", "rho 5", "", "", ""]
    assert [ax.get_ylabel() for ax in axes] == ["mu 0.1", "", "", "mu 4", "", ""]
    assert [heights(ax) for ax in axes] == [[0.7, rho] for rho in (1, 2, 5, 1, 2, 5)]


def test_strengths_of_one_rho_stand_below_one_another(drawn):
    guided.strengths(histograms([(0.0, mu) for mu in (0.1, 4.0)]), "energy")
    assert [(ax.get_title(), ax.get_ylabel()) for ax in drawn["axes"]] == [("rho 0", "mu 0.1"), ("", "mu 4")]


def test_strengths_that_go_together_stand_one_after_another(drawn):
    guided.strengths(histograms([(rho, rho) for rho in (0.2, 0.4, 1.0, 1.5, 2.0)]), "distance")
    shown = [ax for ax in drawn["axes"] if ax.axison]
    assert [ax.get_title().removeprefix("rho = mu = ") for ax in shown] == ["0.2", "0.4", "1", "1.5", "2"]
    assert len(drawn["axes"]) == 8 and [heights(ax)[1] for ax in shown] == [0.2, 0.4, 1, 1.5, 2]


def test_a_missing_cell_of_a_grid_is_left_out(drawn):
    guided.strengths(histograms([(1.0, 1.0), (1.0, 2.0), (2.0, 1.0)]), "energy")
    assert [ax.axison for ax in drawn["axes"]] == [True, True, True, False]


def test_gammas_are_lines_over_id(drawn):
    curve = {"guidance": "image", "energy": [0.0, 1.0], "density": [0.5, 0.5]}
    guided.gammas(pd.concat([pd.DataFrame(curve | {"gamma": gamma}) for gamma in (np.nan, 1.0, 0.01)]))
    (ax,) = drawn["axes"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [ID, "gamma 0.01", "gamma 1"]
    assert [patch.get_fill() for patch in ax.patches] == [True, False, False, False]


def variant(**image):
    given = GIVEN["synthesize"]["good"]["good"]
    guidances = {"image": given["guidances"]["image"] | image, "feature": given["guidances"]["feature"] | {"per_class": 0}}
    return Good(**given | {"guidances": guidances})


@pytest.mark.parametrize(
    ("image", "expected"),
    [({}, "out of ID"), ({"energy": -1.0}, "into ID"), ({"rho": [0.0], "mu": [0.0]}, "not guided"), ({"per_class": 0}, "not guided")],
)
def test_a_variant_says_where_it_leads(image, expected):
    assert guided.way(variant(**image)) == expected


def test_the_map_has_a_colour_for_each_way_and_a_number_at_each_class(drawn):
    rows = [(ID, label, 10 * label + x, 0.0) for label in (0, 1) for x in (-1, 0, 1)] + [("a", 0, 5.0, 1.0), ("b", 1, 6.0, 2.0)]
    guided.features(pd.DataFrame(rows, columns=["method", "label", "x", "y"]), {"a": "into ID", "b": "out of ID"})
    (ax,) = drawn["axes"]
    assert [to_hex(points.get_facecolor()[0]) for points in ax.collections] == [style.GROUPS["id"], *list(guided.WAYS.values())[1:]]
    assert [(text.get_text(), text.get_position()) for text in ax.texts] == [("0", (0, 0)), ("1", (10, 0))]


def test_many_classes_are_not_numbered(drawn):
    guided.features(pd.DataFrame({"method": ID, "label": range(11), "x": 0.0, "y": 0.0}), {})
    assert not drawn["axes"][0].texts


def test_densities_of_several_variants_are_not_mixed(drawn):
    """Each variant has a row of its own, and one of a single strength has none beside others."""
    curve = {"energy": [0.0, 1.0], "density": [0.5, 0.5], "guidance": "image"}
    rows = [(method, "rho", strength) for method in ("good", "more") for strength in (-1, 0.1, 5.0)] + [("single", "rho", 1.0)]
    rows += [(method, "balanced", strength) for method in ("good", "more", "single") for strength in (-1, 0)]
    plot = pd.concat(pd.DataFrame(curve | {"method": method, "panel": panel, "strength": strength}) for method, panel, strength in rows)
    good.densities(plot)
    titles = ["good, image: rho", "good, image: all", "more, image: rho", "more, image: all"]
    assert [ax.get_title() for ax in drawn["axes"]] == titles
    assert [len(ax.lines) for ax in drawn["axes"]] == [3, 2, 3, 2]
    good.densities(plot[plot.method == "single"])
    assert [ax.get_title() for ax in drawn["axes"]] == ["image guidance: rho", "image guidance: all"]


def test_strengths_that_no_grid_shows_are_in_numbers_and_of_several_variants_named():
    measured = {"count": 5, "energy_mean": 1.0, "energy_std": 0.1, "knn_mean": 1.0, "knn_std": 0.1}
    grid = [("good", "image", rho, mu) for rho in (0.1, 5.0) for mu in (0.1, 5.0)]
    line = [("good", "fixed", 0.0, mu) for mu in (0.1, 5.0)]
    rows = [("good", ID, np.nan, np.nan), *grid, *line, *(("good", "feature", rho, rho) for rho in (0.2, 4.0))]
    table = pd.DataFrame(rows, columns=["method", "guidance", "rho", "mu"]).assign(**measured)
    assert list(good.gridded(table).itertuples(index=False, name=None)) == [(*row, *measured.values()) for row in grid + line]
    (block,) = good._numbers(table)
    assert [row[0] for row in block.table.rows] == [ID, "feature", "feature"]
    more = table[table.guidance == "feature"].assign(method="more", guidance="image")
    (block,) = good._numbers(pd.concat([table, more], ignore_index=True))
    assert [row[0] for row in block.table.rows] == [f"good, {ID}", *["good, feature"] * 2, *["more, image"] * 2]


def test_samples_of_one_strength_are_shown_once(monkeypatch):
    """A figure by strength would hold what the heat maps hold, a class a row."""
    stage = SimpleNamespace(params=None, within=lambda folder, names: dict.fromkeys(names))
    empty = pd.DataFrame(columns=["method", "guidance", "rho", "mu"])
    monkeypatch.setattr(good, "strengths", lambda *_: "strengths")
    monkeypatch.setattr(good, "heatmaps", lambda *_: "heat maps")
    single = pd.DataFrame({"guidance": "image", "rho": 1.0, "mu": 1.0, "label": [0, 0, 1]})
    candidates = {"one": single, "two": pd.concat([single, single.assign(mu=2.0)])}
    made = good.figures(stage, {"strengths": empty}, {"strengths": empty}, candidates)
    assert made == {"one-cams": "heat maps", "two-strengths": "strengths", "two-cams": "heat maps"}
