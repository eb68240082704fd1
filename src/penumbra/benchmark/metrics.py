"""Metrics of OOD detection, exact with ties. Scores: higher = more OOD; all results are shares in [0, 1].

Two conventions of FPR95 are in use and differ by far on skewed scores, so each has its own name:

- `fpr95_id_tpr`: ID is positive; the share of OOD images accepted as ID where at least 95% of ID images are accepted
  (the synthetic-outlier papers).
- `fpr95_ood_tpr`: OOD is positive; the share of ID images rejected where at least 95% of OOD images are caught
  (OpenOOD since 2023-08).

The area under precision and recall is the average precision (a sum of steps). The trapezoid rule that OpenOOD uses interpolates
between operating points that do not exist, and gives 0.75 instead of 0.5 where all scores are tied.
"""

import numpy as np

from penumbra.ranks import accepted, area, counts

METRICS = ("fpr95_id_tpr", "fpr95_ood_tpr", "auroc", "aupr_in", "aupr_out")
RECALL = 0.95


def average_precision(tp: np.ndarray, fp: np.ndarray) -> float:
    """Sum over thresholds of precision x gain in recall."""
    return float(np.sum(np.diff(tp) * tp[1:] / (tp[1:] + fp[1:])) / tp[-1])


def fpr_at_recall(tp: np.ndarray, fp: np.ndarray, recall: float = RECALL) -> float:
    """Share of negatives accepted at the strictest threshold that accepts at least `recall` of the positives."""
    return float(fp[np.argmax(tp / tp[-1] >= recall)] / fp[-1])


def evaluate(id_scores: np.ndarray, ood_scores: np.ndarray) -> dict[str, float]:
    """Every metric of METRICS, from one sort.

    Args:
        id_scores: finite scores [N] of ID test images, N >= 1.
        ood_scores: finite scores [M] of the images of one OOD test set, M >= 1.
    """
    inside, outside = counts(np.asarray(id_scores, np.float64), np.asarray(ood_scores, np.float64))
    id_first = accepted(inside), accepted(outside)  # ID is positive: the lowest scores are accepted first
    ood_first = accepted(outside[::-1]), accepted(inside[::-1])
    return {
        "fpr95_id_tpr": fpr_at_recall(*id_first),
        "fpr95_ood_tpr": fpr_at_recall(*ood_first),
        "auroc": area(*ood_first),
        "aupr_in": average_precision(*id_first),
        "aupr_out": average_precision(*ood_first),
    }


def roc(id_scores: np.ndarray, ood_scores: np.ndarray, fpr: np.ndarray) -> np.ndarray:
    """Share of OOD caught at each share `fpr` [K] of ID rejected, linear between operating points."""
    inside, outside = counts(np.asarray(id_scores, np.float64), np.asarray(ood_scores, np.float64))
    tp, fp = accepted(outside[::-1]), accepted(inside[::-1])
    return np.interp(fpr, fp / fp[-1], tp / tp[-1])  # at a vertical step: its upper end
