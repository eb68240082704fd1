"""How well probabilities agree with frequencies, ID and OOD weighing the same."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from penumbra.calibrators import Array, class_weights, fit
from penumbra.errors import PenumbraError
from penumbra.seeds import derive

CERTAIN = 1e-6  # NLL takes probabilities no closer to 0 and 1: a single sure mistake of a step function would make it infinite


def reliability(probability: Array, is_ood: NDArray[np.bool_], bins: int) -> list[dict[str, float]]:
    """The bins that hold images, of equal width, each closed on the left (the last also on the right).

    Args:
        probability: P(OOD) [N] in [0, 1].
        is_ood: labels [N].
        bins: number of bins.

    Returns:
        For each bin: confidence (mean P(OOD)), frequency (share of OOD), both with the classes weighing the same,
        weight (share of the bin) and count (images).
    """
    weight = class_weights(is_ood)
    place = np.minimum((probability * bins).astype(int), bins - 1)
    rows = []
    for index in np.unique(place):
        inside = place == index
        share = weight[inside].sum()
        confidence, frequency = (float(weight[inside] @ values[inside] / share) for values in (probability, is_ood))
        rows.append({"confidence": confidence, "frequency": frequency, "weight": float(share), "count": int(inside.sum())})
    return rows


def measures(probability: Array, is_ood: NDArray[np.bool_], bins: int) -> dict[str, float]:
    """Expected calibration error of P(OOD), Brier score and negative log-likelihood; lower is better.

    ECE is the mean over bins of |frequency - confidence|, weighted by the share of each bin (Naeini et al. 2015; binary form).
    """
    weight, clipped = class_weights(is_ood), np.clip(probability, CERTAIN, 1 - CERTAIN)
    return {
        "ece": sum(row["weight"] * abs(row["frequency"] - row["confidence"]) for row in reliability(probability, is_ood, bins)),
        "brier": float(weight @ (probability - is_ood) ** 2),
        "nll": float(-weight @ np.log(np.where(is_ood, clipped, 1 - clipped))),
    }


def cross_fitted(name: str, log_odds: Array, is_ood: NDArray[np.bool_], folds: int, seed: int) -> Array:
    """P(OOD) [N] of each image by a calibrator that was fitted on the other folds.

    Raises:
        PenumbraError: a class has fewer images than there are folds.
    """
    probability = np.empty(len(log_odds))
    for held_out in _stratified(is_ood, folds, seed):
        calibrator = fit(name, log_odds[~held_out], is_ood[~held_out])
        probability[held_out] = calibrator.probability(log_odds[held_out])
    return probability


def _stratified(is_ood: NDArray[np.bool_], folds: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Masks of random folds, each with its share of either class."""
    rng = np.random.default_rng(derive(seed, "calibrate/folds"))
    fold = np.empty(len(is_ood), int)
    for label in (False, True):
        rows = rng.permutation(np.flatnonzero(is_ood == label))
        if len(rows) < folds:
            kind = "calibration OOD" if label else "ID validation"
            raise PenumbraError(f"calibrate.*.folds = {folds}: must be at most {len(rows)}, the number of {kind} images.")
        fold[rows] = np.arange(len(rows)) % folds
    return (fold == index for index in range(folds))
