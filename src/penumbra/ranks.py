"""How ID and OOD images lie along a score: counts at its thresholds, and the area under the ROC curve, exact with ties."""

import numpy as np

from penumbra.errors import PenumbraError


def counts(id_scores: np.ndarray, ood_scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many ID and how many OOD images have each of the T distinct scores, int64 [T] each, the lowest score first."""
    values, place = np.unique(np.concatenate([id_scores, ood_scores]), return_inverse=True)
    return tuple(np.bincount(part, minlength=len(values)) for part in (place[: len(id_scores)], place[len(id_scores) :]))


def accepted(images: np.ndarray) -> np.ndarray:
    """How many images are accepted at every threshold, from none accepted to all, int64 [T + 1].

    Equal scores cross a threshold together, and no point is dropped.

    Args:
        images: number with each score [T], those that are accepted first at the front.
    """
    return np.concatenate([[0], np.cumsum(images)])


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """P(positive > negative) + P(positive = negative) / 2, of scores [P] and [N].

    Raises:
        PenumbraError: see `area`.
    """
    lower, higher = counts(negative, positive)
    return area(accepted(higher[::-1]), accepted(lower[::-1]))


def area(tp: np.ndarray, fp: np.ndarray) -> float:
    """Area under the ROC curve through all operating points; accepted positives and negatives [T + 1], as from `accepted`.

    Raises:
        PenumbraError: there is no positive, or no negative.
    """
    if not (tp[-1] and fp[-1]):
        raise PenumbraError(f"an AUROC needs positive and negative images: there are {tp[-1]} and {fp[-1]}. Give the empty set some.")
    twice_area = np.sum(np.diff(fp) * (tp[1:] + tp[:-1]))
    return float(twice_area / (2 * tp[-1] * fp[-1]))
