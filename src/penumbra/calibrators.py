"""Calibration maps from a raw OOD score to P(OOD), fitted on log-odds so that saturated scores stay exact.

A raw score s in (0, 1) is given by its log-odds l, s = sigmoid(l) (Bad-OOD eq. 6: l is the energy). Both classes weigh the
same however many images they have: the uniform class prior of Bad-OOD eq. 20. Every map is non-decreasing.

| name | P(OOD) | parameters |
|---|---|---|
| beta | sigmoid(a ln s - b ln(1 - s) + c) (Kull et al. 2017, Bad-OOD eq. 7) | a, b >= 0, c |
| temperature | sigmoid(k l) (Guo et al. 2017, T = 1 / k) | inverse_temperature k >= 0 |
| platt | sigmoid(slope l + intercept) (Platt 1999) | slope >= 0, intercept |
| isotonic | a step function, linear between its knots (Zadrozny and Elkan 2002) | log_odds, probability |
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit

from penumbra.errors import PenumbraError

CALIBRATORS = ("beta", "temperature", "platt", "isotonic")
NEWTON_STEPS = 100

Array = NDArray[np.float64]
Parameters = dict[str, float | list[float]]


@dataclass(frozen=True)
class Calibrator:
    """A fitted map.

    Attributes:
        name: beta | temperature | platt | isotonic.
        parameters: see the table of this module; JSON-able.
    """

    name: str
    parameters: Parameters

    def probability(self, log_odds: ArrayLike) -> Array:
        """Calibrated P(OOD) [N] in [0, 1] of log-odds [N]."""
        log_odds, p = np.asarray(log_odds, np.float64), self.parameters
        if self.name == "isotonic":
            return np.interp(log_odds, p["log_odds"], p["probability"])
        features, names = _design(self.name, log_odds)
        return expit(features @ np.array([p[name] for name in names]))

    def to_json(self) -> Parameters:
        """The parameters, as they stand under `calibrators.NAME` of data/calibration/DETECTOR.json."""
        return self.parameters

    @classmethod
    def from_json(cls, name: str, content: Parameters) -> "Calibrator":
        """The inverse of `to_json`."""
        return cls(name, content)


def fit(name: str, log_odds: ArrayLike, is_ood: ArrayLike) -> Calibrator:
    """Fit a calibration map by maximum likelihood (isotonic: least squares), the classes weighing the same.

    Args:
        name: beta | temperature | platt | isotonic.
        log_odds: raw scores [N], finite; higher = more OOD.
        is_ood: labels [N], True for OOD.

    Raises:
        PenumbraError: unknown name; a score is not finite; only one class; all scores are equal.
    """
    log_odds, is_ood = np.asarray(log_odds, np.float64), np.asarray(is_ood, bool)
    _check(name, log_odds, is_ood)
    weight = class_weights(is_ood)
    if name == "isotonic":
        return Calibrator(name, _isotonic_regression(log_odds, is_ood, weight))
    features, names = _design(name, log_odds)
    not_negative = [column for column, parameter in enumerate(names) if parameter not in ("c", "intercept")]
    coefficients = _logistic_regression(features, _targets(log_odds, is_ood), weight, not_negative)
    return Calibrator(name, dict(zip(names, coefficients.tolist(), strict=True)))


def class_weights(is_ood: NDArray[np.bool_]) -> Array:
    """Weights [N] of sum 1 under which ID and OOD are equally frequent."""
    return np.where(is_ood, 0.5 / is_ood.sum(), 0.5 / (~is_ood).sum())


def _check(name: str, log_odds: Array, is_ood: NDArray[np.bool_]) -> None:
    if name not in CALIBRATORS:
        raise PenumbraError(f"calibrator {name!r} is unknown. Use one of {', '.join(CALIBRATORS)}.")
    bad = np.flatnonzero(~np.isfinite(log_odds))
    if len(bad):
        raise PenumbraError(f"calibration: {len(bad)} of {len(log_odds)} scores are not finite, the first in row {bad[0]}. Train anew.")
    if is_ood.all() or not is_ood.any():
        raise PenumbraError(f"calibration: {is_ood.sum()} OOD and {(~is_ood).sum()} ID images. Give some of both.")
    if np.ptp(log_odds) == 0:
        raise PenumbraError(f"calibration: all {len(log_odds)} scores are {log_odds[0]:g}; they say nothing. Train anew.")


def _design(name: str, log_odds: Array) -> tuple[Array, tuple[str, ...]]:
    """What the log-odds of P(OOD) are linear in [N, k], and the names of the k coefficients."""
    one = np.ones_like(log_odds)
    if name == "beta":
        return np.stack([log_expit(log_odds), -log_expit(-log_odds), one], axis=-1), ("a", "b", "c")
    if name == "platt":
        return np.stack([log_odds, one], axis=-1), ("slope", "intercept")
    return log_odds[..., None], ("inverse_temperature",)


def _targets(log_odds: Array, is_ood: NDArray[np.bool_]) -> Array:
    """The labels; if a threshold separates the classes, so that no finite maximum exists, Platt's smoothed ones."""
    if log_odds[~is_ood].max() > log_odds[is_ood].min():
        return is_ood.astype(np.float64)
    return np.where(is_ood, 1 - 1 / (is_ood.sum() + 2), 1 / ((~is_ood).sum() + 2))


def _isotonic_regression(log_odds: Array, is_ood: NDArray[np.bool_], weight: Array) -> Parameters:
    """Knots of the non-decreasing step function of least weighted squares: the two ends of each step."""
    from scipy.optimize import isotonic_regression

    values, place = np.unique(log_odds, return_inverse=True)  # equal scores are one point
    weights = np.bincount(place, weight)
    fitted = np.clip(isotonic_regression(np.bincount(place, weight * is_ood) / weights, weights=weights).x, 0, 1)
    inside = np.r_[False, (fitted[1:-1] == fitted[:-2]) & (fitted[1:-1] == fitted[2:]), False][: len(values)]
    return {"log_odds": values[~inside].tolist(), "probability": fitted[~inside].tolist()}


def _logistic_regression(features: Array, target: Array, weight: Array, not_negative: list[int]) -> Array:
    """Maximum-likelihood coefficients [k], those in `not_negative` >= 0.

    The likelihood is concave, so the maximum lies inside or on the face of the best violated constraints: fit each face,
    fewest constraints first, and keep the likeliest fit that is allowed.
    """
    scale = np.abs(features).max(axis=0)
    scale[scale == 0] = 1
    features = features / scale
    for size in range(len(not_negative) + 1):
        fits = [_newton(features, target, weight, fixed) for fixed in combinations(not_negative, size)]
        allowed = [(loss, w) for loss, w in fits if all(w[column] >= 0 for column in not_negative)]
        if allowed:
            break
    return min(allowed, key=lambda fit: fit[0])[1] / scale


def _newton(features: Array, target: Array, weight: Array, fixed: tuple[int, ...]) -> tuple[float, Array]:
    """Weighted logistic loss and coefficients at its minimum, with the coefficients in `fixed` kept at 0."""
    free = [column for column in range(features.shape[1]) if column not in fixed]
    x, w = features[:, free], np.zeros(len(free))

    def loss(w: Array) -> float:
        z = x @ w
        return float(-weight @ (target * log_expit(z) + (1 - target) * log_expit(-z)))

    for _ in range(NEWTON_STEPS):
        p = expit(x @ w)
        gradient = x.T @ (weight * (p - target))
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        shorter = _backtrack(loss, w, step)
        if np.array_equal(shorter, w):
            break
        w = shorter
    full = np.zeros(features.shape[1])
    full[free] = w
    return loss(w), full


def _backtrack(loss: Callable[[Array], float], w: Array, step: Array) -> Array:
    """The first of w - step, w - step / 2, ... with a lower loss; w itself if there is none."""
    before = loss(w)
    for halvings in range(50):
        after = w - step * 0.5**halvings
        if loss(after) < before:
            return after
    return w
