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

METRICS = ("fpr95_id_tpr", "fpr95_ood_tpr", "auroc", "aupr_in", "aupr_out")
RECALL = 0.95


def operating_points(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of accepted positives and negatives at every threshold, from none accepted to all.

    Equal scores cross a threshold together, and no point is dropped.

    Args:
        positive: scores [P] of the positive class, which should score higher.
        negative: scores [N] of the negative class.

    Returns:
        (true positives, false positives), each int64 [T + 1] for T distinct scores.
    """
    values, group = np.unique(np.concatenate([positive, negative]), return_inverse=True)
    hits = np.bincount(group[: len(positive)], minlength=len(values))[::-1]
    misses = np.bincount(group[len(positive) :], minlength=len(values))[::-1]
    return np.concatenate([[0], np.cumsum(hits)]), np.concatenate([[0], np.cumsum(misses)])


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """P(positive > negative) + P(positive = negative) / 2."""
    tp, fp = operating_points(positive, negative)
    twice_area = np.sum(np.diff(fp) * (tp[1:] + tp[:-1]))
    return float(twice_area / (2 * len(positive) * len(negative)))


def average_precision(positive: np.ndarray, negative: np.ndarray) -> float:
    """Sum over thresholds of precision x gain in recall."""
    tp, fp = operating_points(positive, negative)
    return float(np.sum(np.diff(tp) * tp[1:] / (tp[1:] + fp[1:])) / len(positive))


def fpr_at_recall(positive: np.ndarray, negative: np.ndarray, recall: float = RECALL) -> float:
    """Share of negatives accepted at the strictest threshold that accepts at least `recall` of the positives."""
    tp, fp = operating_points(positive, negative)
    return float(fp[np.argmax(tp / len(positive) >= recall)] / len(negative))


def evaluate(id_scores: np.ndarray, ood_scores: np.ndarray) -> dict[str, float]:
    """Every metric of METRICS.

    Args:
        id_scores: finite scores [N] of ID test images, N >= 1.
        ood_scores: finite scores [M] of the images of one OOD test set, M >= 1.
    """
    id_scores, ood_scores = np.asarray(id_scores, np.float64), np.asarray(ood_scores, np.float64)
    return {
        "fpr95_id_tpr": fpr_at_recall(-id_scores, -ood_scores),
        "fpr95_ood_tpr": fpr_at_recall(ood_scores, id_scores),
        "auroc": auroc(ood_scores, id_scores),
        "aupr_in": average_precision(-id_scores, -ood_scores),
        "aupr_out": average_precision(ood_scores, id_scores),
    }


def roc(id_scores: np.ndarray, ood_scores: np.ndarray, fpr: np.ndarray) -> np.ndarray:
    """Share of OOD caught at each share `fpr` [K] of ID rejected, linear between operating points."""
    tp, fp = operating_points(np.asarray(ood_scores, np.float64), np.asarray(id_scores, np.float64))
    return np.interp(fpr, fp / len(id_scores), tp / len(ood_scores))  # at a vertical step: its upper end
