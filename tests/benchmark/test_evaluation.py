"""ID accuracy, and the direction in which a claim holds."""

import pandas as pd
import pytest

from penumbra.benchmark.claims import COLUMNS, detector_claims
from penumbra.benchmark.evaluation import id_accuracy


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
