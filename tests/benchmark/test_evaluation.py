"""ID accuracy, and the headline."""

import numpy as np
import pandas as pd
import pytest

from penumbra.benchmark.evaluation import evaluate_detector, headline_json, id_accuracy
from penumbra.dataset import data_set
from synthetic_results import scores


def test_accuracy_is_the_share_of_id_test_images_whose_class_is_predicted():
    rows = pd.DataFrame(
        {
            "seed": [0, 0, 0, 0, 1, 1],
            "group": ["id", "id", "id", "shift", "id", "near"],
            "label": [1, 2, 3, 0, 4, -1],
            "predicted": [1, 2, 0, 1, 0, -1],
        }
    )
    found = id_accuracy("none", rows)
    assert found.seed.tolist() == [0, 1] and found.detector.tolist() == ["none", "none"]
    assert found.id_acc.tolist() == pytest.approx([2 / 3, 0])


@pytest.mark.parametrize(
    ("source", "path", "classes", "words"),
    [
        ("digits", None, ["0", "1"], "digits: 0, 1"),
        ("folder", "/images/birds", None, "folder birds"),
        ("folder", "/images/birds/", ["crow", "owl"], "folder birds: crow, owl"),
        ("imglist", "lists/imagenet.txt", [str(i) for i in range(1000)], "imglist imagenet.txt: 1000 classes"),
    ],
)
def test_a_data_set_is_named_by_source_folder_and_classes(source, path, classes, words):
    assert data_set({"source": source, "path": path, "classes": classes}) == words


def test_the_headline_leaves_out_a_group_without_test_sets():
    near = {"auroc": {"mean": 0.98765, "std": None}, "fpr95_id_tpr": {"mean": 0.1, "std": None}}
    metrics = {"data": "digits", "detectors": {"none": {"near": near}}}
    assert headline_json(metrics) == {"data": "digits", "near_auroc": {"none": 98.8}, "near_fpr95": {"none": 10.0}}


def test_a_score_that_is_asked_for_has_rows_where_a_detector_has_it():
    made = scores(np.random.default_rng(0)).assign(vim=lambda frame: 3 * frame.energy - 1, other=0.0)
    found = evaluate_detector("none", made, ["vim", "ash-s"]).set_index(["score", "set", "seed"])
    assert list(dict.fromkeys(score for score, _, _ in found.index)) == ["msp", "max_logit", "energy", "knn", "confidence", "vim"]
    pd.testing.assert_series_equal(found.loc["vim"].auroc, found.loc["energy"].auroc)
    pd.testing.assert_frame_equal(evaluate_detector("none", made), evaluate_detector("none", made.drop(columns=["vim", "other"])))
