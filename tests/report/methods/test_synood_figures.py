"""Figures of SynOOD's images, and the labels that stand beside them."""

import json

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from penumbra.report.methods import synood


def test_the_matched_label_is_the_one_of_the_smallest_angle(tmp_path):
    """However long the text features are."""
    words = ["blobs", "stripes", "checks"]
    save_file({"negative": np.array([[9, 0, 1], [0, 0.1, 0], [0, 0, 5]], np.float32)}, tmp_path / "negatives.safetensors")
    metadata = {"penumbra": json.dumps({"sample_ids": ["a", "b", "c"]})}
    features = np.array([[1, 0, 0.2], [3, 4, 0], [0, 0, 1]], np.float32)
    save_file({"features": features}, tmp_path / "clip.safetensors", metadata)
    found = synood.matched(tmp_path / "clip.safetensors", tmp_path / "negatives.safetensors", words, ["c", "b"])
    assert found == {"c": "checks", "b": "stripes"}


def test_illustrated_candidates_are_spread_over_the_file(results_data, monkeypatch):
    path = results_data / "outliers/synood.parquet"
    assert synood.illustrated(path) == [f"synood/{i:06d}" for i in range(5)]
    monkeypatch.setattr(synood, "ACROSS", 3)
    assert synood.illustrated(path) == ["synood/000000", "synood/000002", "synood/000004"]


def test_each_outlier_stands_under_its_source_class_and_over_its_labels(results_data, drawn):
    paths = [results_data / name for name in ("outliers/synood.parquet", "images/train.parquet")]
    synood.pairs(*paths, ["synood/000003", "synood/000001"], {"synood/000001": "letter G"})
    (ax,) = drawn["axes"]
    assert [label.get_text() for label in ax.get_xticklabels()][:2] == ["three", "one"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["ID", "run 1", "run 2", "outlier"]
    assert [text.get_text() for text in ax.texts] == ["letter C\n+ blobs", "letter C\n+ blobs\n→ letter G"]


def test_without_a_training_image_there_are_no_pairs(results_data):
    paths = [results_data / name for name in ("outliers/synood.parquet", "images/shifted.parquet")]
    assert synood.pairs(*paths, ["synood/000003"], {}) is None


def test_shares_of_fallen_losses_and_risen_energies_are_in_the_title(drawn):
    energies = [[0.0, 1.0], [0.0, 2.0], [1.0, 0.0], [0.0, 0.5]]
    columns = {"energies": energies, "loss": [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 2.0]]}
    synood.energies({"synood": pd.DataFrame({name: [np.array(row) for row in rows] for name, rows in columns.items()})})
    assert "of 4 images, loss falls for 50%, energy rises for 75%" in drawn["axes"][1].get_title()
    assert drawn["axes"][0].get_title() == "synood"
