"""ID accuracy, and the direction in which a claim holds."""

import pandas as pd
import pytest

from penumbra.benchmark.claims import COLUMNS, detector_claims
from penumbra.benchmark.evaluation import headline_json, id_accuracy
from penumbra.dataset import data_set


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


@pytest.mark.parametrize(("fpr95", "auroc"), [("held", "did not hold"), ("did not hold", "held")])
def test_a_claim_holds_where_fpr_is_lower_or_auroc_is_higher(fpr95, auroc):
    low, high = (0.3, 0.4), (0.8, 0.9)
    of_fpr = (low[0], high[0]) if fpr95 == "held" else (high[0], low[0])
    of_auroc = (high[1], low[1]) if auroc == "held" else (low[1], high[1])
    rows = [
        {"detector": detector, "set": group}
        | {f"{COLUMNS['fpr95']}_mean": of_fpr[i], f"{COLUMNS['auroc']}_mean": of_auroc[i]}
        | {f"{column}_std": 0.01 for column in COLUMNS.values()}
        for i, detector in enumerate(("badood-mid", "badood-all"))
        for group in ("near", "far")
    ]
    found = {row["measure"]: row["verdict"] for row in detector_claims(pd.DataFrame(rows))}
    assert found == {"FPR95 near": fpr95, "FPR95 far": fpr95, "AUROC near": auroc, "AUROC far": auroc}


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
