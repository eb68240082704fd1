"""Figures of SynOOD's images and of what CLIP sees, and the labels that stand beside them."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from penumbra.report import clip_figures, figures, gallery, style


@pytest.fixture
def drawn(monkeypatch):
    """The figure that is drawn, as it is before it becomes SVG: axes by title, and their texts."""
    kept = {}

    def keep(figure):
        kept["axes"] = figure.axes
        return b""

    monkeypatch.setattr(style, "svg", keep)
    return kept


def test_the_matched_label_is_the_one_of_the_smallest_angle(tmp_path):
    """However long the text features are."""
    words = ["blobs", "stripes", "checks"]
    save_file({"negative": np.array([[9, 0, 1], [0, 0.1, 0], [0, 0, 5]], np.float32)}, tmp_path / "negatives.safetensors")
    metadata = {"penumbra": json.dumps({"sample_ids": ["a", "b", "c"]})}
    features = np.array([[1, 0, 0.2], [3, 4, 0], [0, 0, 1]], np.float32)
    save_file({"features": features}, tmp_path / "clip.safetensors", metadata)
    found = clip_figures.matched(tmp_path / "clip.safetensors", tmp_path / "negatives.safetensors", words, ["c", "b"])
    assert found == {"c": "checks", "b": "stripes"}


def test_illustrated_candidates_are_spread_over_the_file(results_data, monkeypatch):
    path = results_data / "outliers/synood.parquet"
    assert clip_figures.illustrated(path) == [f"synood/{i:06d}" for i in range(5)]
    monkeypatch.setattr(clip_figures, "COLUMNS", 3)
    assert clip_figures.illustrated(path) == ["synood/000000", "synood/000002", "synood/000004"]


def test_each_outlier_stands_under_its_source_class_and_over_its_labels(results_data, drawn):
    paths = [results_data / name for name in ("outliers/synood.parquet", "images/train.parquet")]
    clip_figures.pairs(*paths, ["synood/000003", "synood/000001"], {"synood/000001": "letter G"})
    (ax,) = drawn["axes"]
    assert [label.get_text() for label in ax.get_xticklabels()][:2] == ["three", "one"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["ID", "run 1", "run 2", "outlier"]
    assert [text.get_text() for text in ax.texts] == ["letter C\n+ blobs", "letter C\n+ blobs\n→ letter G"]


def test_without_a_training_image_there_are_no_pairs(results_data):
    paths = [results_data / name for name in ("outliers/synood.parquet", "images/shifted.parquet")]
    assert clip_figures.pairs(*paths, ["synood/000003"], {}) is None


def test_shares_of_fallen_losses_and_risen_energies_are_in_the_title(drawn):
    energies = [[0.0, 1.0], [0.0, 2.0], [1.0, 0.0], [0.0, 0.5]]
    columns = {"energies": energies, "loss": [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 2.0]]}
    clip_figures.energies({"synood": pd.DataFrame({name: [np.array(row) for row in rows] for name, rows in columns.items()})})
    assert "of 4 images, loss falls for 50%, energy rises for 75%" in drawn["axes"][1].get_title()
    assert drawn["axes"][0].get_title() == "synood"


def test_bars_before_and_after_filtering_reach_from_one_end_to_the_other(drawn):
    rows = [(method, band) for method in ("badood", "sona") for band in ("all", "low", "mid")]
    table = pd.DataFrame(rows, columns=["method", "band"])
    for name, share in zip(("own", "other", "nothing"), (0.5, 0.2, 0.3), strict=True):
        table[f"{name}_share"] = share
    clip_figures.types(table, table[["method", "band"]].assign(across=0.9, within=0.5))
    bars = drawn["axes"][0]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["badood", "mid band", "sona", "mid band"]
    widths = np.array([bar.get_width() for bar in bars.patches]).reshape(3, 4)
    np.testing.assert_allclose(widths.sum(axis=0), 100)
    np.testing.assert_allclose(bars.patches[-1].get_x(), 70)
    (legend,) = bars.figure.legends
    assert [text.get_text() for text in legend.get_texts()][-3:] == ["nothing (III)", "all candidates", "mid band"]


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
    figures.unified(pd.DataFrame([row | {"set": group} for group in ("near", "far") for row in rows]))
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


def test_a_picture_is_declared_as_what_it_is():
    assert gallery.uri(b"\xff\xd8\xff\xe0").startswith("data:image/jpeg;")
    assert gallery.uri(b"\x89PNG\r\n").startswith("data:image/png;")
    assert gallery.uri(b"<svg/>", kind="image/svg+xml").startswith("data:image/svg+xml;")
