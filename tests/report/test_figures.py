"""Figures of numbers: which panel is of what, and where bars and panels end."""

import numpy as np
import pandas as pd
import pytest

from penumbra.report import figures, gallery, style, unified
from penumbra.report.methods import clip


def test_a_panel_is_of_the_score_that_its_detector_is_judged_by(drawn):
    shared = {"group": "id", "density": [1.0, 2.0]}
    plot = pd.concat(
        [
            pd.DataFrame(shared | {"detector": "none", "energy": [-9.0, -8.0]}),
            pd.DataFrame(shared | {"detector": "clip", "neglabel": [0.1, 0.9]}),
        ]
    )
    figures.energy(plot)
    assert [ax.get_xlabel().split(",")[0] for ax in drawn["axes"]] == ["energy", "neglabel"]
    assert drawn["axes"][1].get_xlim()[1] < 2 and drawn["axes"][0].get_xlim()[1] < 0


@pytest.mark.parametrize(("auroc", "texts"), [(0.06, ["↓", "6"]), (0.91, [])])
def test_what_falls_far_below_the_rest_of_a_panel_is_a_number_at_its_edge(drawn, auroc, texts):
    """And what the panel reaches is not."""
    keys = {"detector": "good-all", "a": 0.5, "k": 50.0, "weight_mean": 0.5}
    rows = [keys | {"mode": "energy", "a": np.nan, "k": np.nan, "auroc_mean": 0.92}]
    rows += [keys | {"mode": "per-set", "k": k, "auroc_mean": mean} for k, mean in ((50.0, 0.95), (10.0, 0.96), (200.0, auroc))]
    rows += [keys | {"mode": "knn", "a": np.nan, "k": k, "auroc_mean": mean} for k, mean in ((50.0, 0.94), (10.0, 0.96))]
    unified.curves(pd.DataFrame([row | {"set": group} for group in ("near", "far") for row in rows]))
    along_k = drawn["axes"][1]
    assert [text.get_text() for text in along_k.texts] == texts
    low, high = along_k.get_ylim()
    assert 50 < low < 91 and high > 96


def test_error_bars_end_where_percentages_do(drawn):
    moments = {f"{group}_{metric}": value for group in ("near", "far") for metric, value in (("fpr95_id_tpr", 0.1), ("auroc", 0.98))}
    columns = {f"{name}_mean": [value] for name, value in moments.items()} | {f"{name}_std": [0.2] for name in moments}
    figures.bands(pd.DataFrame({"detector": ["none"]} | columns))
    ends = [ax.containers[0].lines[2][0].get_segments()[0][:, 0] for ax in drawn["axes"]]
    np.testing.assert_allclose(ends, [[0, 30], [78, 100]])


def test_pdfs_of_equal_figures_are_equal_and_say_nothing_of_machine_or_time(monkeypatch, pdf):
    """A picture keeps its own 2 x 3 pixels, letters are TrueType, which can be searched and which publishers take."""
    monkeypatch.setattr(style, "pdf", pdf)
    made = []
    for _ in range(2):
        with style.figure(1, 2, 1.5) as (figure, axes):
            axes[0].imshow(np.arange(18, dtype=np.uint8).reshape(2, 3, 3), interpolation="nearest")
            axes[1].plot([1, 2], label="near")
            axes[1].legend()
            made.append(style.files(figure))
    first, second = made
    assert first == second and first.pdf.startswith(b"%PDF")
    assert b"/FontFile2" in first.pdf and b"/Width 3" in first.pdf and bytes(range(9)) in first.pdf
    assert not [word for word in (b"Date", b"FlateDecode", b"/Type3") if word in first.pdf]


def test_a_picture_is_declared_as_what_it_is():
    assert gallery.uri(b"\xff\xd8\xff\xe0").startswith("data:image/jpeg;")
    assert gallery.uri(b"\x89PNG\r\n").startswith("data:image/png;")
    assert gallery.uri(b"<svg/>", kind="image/svg+xml").startswith("data:image/svg+xml;")


def test_bars_before_and_after_filtering_reach_from_one_end_to_the_other(drawn):
    rows = [(method, band) for method in ("badood", "sona") for band in ("all", "low", "mid")]
    table = pd.DataFrame(rows, columns=["method", "band"])
    for name, share in zip(("own", "other", "nothing"), (0.5, 0.2, 0.3), strict=True):
        table[f"{name}_share"] = share
    clip.types(table, table[["method", "band"]].assign(across=0.9, within=0.5))
    bars = drawn["axes"][0]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["badood", "mid band", "sona", "mid band"]
    widths = np.array([bar.get_width() for bar in bars.patches]).reshape(3, 4)
    np.testing.assert_allclose(widths.sum(axis=0), 100)
    np.testing.assert_allclose(bars.patches[-1].get_x(), 70)
    (legend,) = bars.figure.legends
    assert [text.get_text() for text in legend.get_texts()][-3:] == ["nothing (III)", "all candidates", "mid band"]
