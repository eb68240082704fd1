"""Claims about CLIP detectors and SynOOD's images, by hand."""

import numpy as np
import pandas as pd
import pytest

from penumbra.benchmark.claims import clip_claims, loss_claims, strength_claims
from penumbra.benchmark.metrics import METRICS


def rows(**value_of_score):
    return pd.DataFrame(
        {"detector": "clip", "score": score, "set": group, "group": group}
        | {f"{metric}_mean": value for metric in METRICS}
        | {f"{metric}_std": 0.01 for metric in METRICS}
        for score, value in value_of_score.items()
        for group in ("near", "far")
    )


def test_negative_labels_are_compared_with_none():
    found = {row["measure"]: row for row in clip_claims(rows(mcm=0.7, neglabel=0.8))}
    assert found["AUROC far"]["verdict"] == "held" and found["FPR95 far"]["verdict"] == "did not hold"
    assert found["AUROC far"]["paper_worse"] == 0.9077 and np.isnan(found["AUROC near"]["paper_worse"])
    assert clip_claims(rows(energy=0.7)) == []


def test_the_share_of_images_whose_loss_falls():
    losses = np.array([[5.0, 9.0, 1.0], [5.0, 4.0, 2.0], [5.0, 5.0, 5.0], [5.0, 6.0, 0.5]])
    (row,) = loss_claims({"synood": losses})
    assert row["better"] == 0.75 and row["worse"] == 0.25 and row["verdict"] == "held"
    assert row["better_std"] == pytest.approx(np.sqrt(0.75 * 0.25 / 4))
    assert loss_claims({"synood": -losses})[0]["verdict"] == "did not hold"


@pytest.mark.parametrize("guidance", ["image", "feature"])
def test_strengths_that_go_together_are_named_and_claimed_once(guidance):
    table = pd.DataFrame({"method": "good", "guidance": guidance, "rho": [0.1, 5.0], "mu": [0.1, 5.0], "count": 10})
    for name in ("energy", "knn"):
        table[f"{name}_mean"], table[f"{name}_std"] = [0.0, 1.0], 0.1
    (row,) = strength_claims(table)
    assert row["claim"].startswith(f"good: the greatest rho = mu of {guidance} guidance") and row["verdict"] == "held"
