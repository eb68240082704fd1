"""Bands of calibrated confidence (Bad-OOD 4.3: low, mid and high P(OOD)), and two other readings of its mid band."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penumbra.values import BANDS

BINS = 20
WIDTH = 40  # characters of the longest bar


def bands(confidence: NDArray[np.float64], mid: Sequence[float]) -> NDArray[np.str_]:
    """low | mid | high for each candidate: low < mid[0] <= mid < mid[1] <= high."""
    return np.array(BANDS)[np.searchsorted(mid, confidence, side="right")]


def upper(confidence: NDArray[np.float64], bounds: Sequence[float]) -> NDArray[np.bool_]:
    """Whether each candidate is between the bounds, the lower one included: the paper's mid band where its score is likeness to ID."""
    return (bounds[0] <= confidence) & (confidence < bounds[1])


def third(score: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each candidate is in the middle third by rank; equal scores rank as they stand. It needs no calibration."""
    rank = np.argsort(np.argsort(score, kind="stable"), kind="stable")
    return (len(score) // 3 <= rank) & (rank < len(score) - len(score) // 3)


def histogram(confidence: NDArray[np.float64]) -> str:
    """Text histogram of confidences over [0, 1]: one line for each bin that is not empty."""
    counts, edges = np.histogram(confidence, BINS, (0, 1))
    bars = [(edge, count, "#" * int(np.ceil(WIDTH * count / counts.max()))) for edge, count in zip(edges[:-1], counts, strict=True)]
    return "\n".join(f"{edge:.2f}-{edge + 1 / BINS:.2f} {count:7d} {bar}" for edge, count, bar in bars if count)


def suggestion(confidence: NDArray[np.float64]) -> list[float]:
    """Bounds of a mid band that holds the middle third of the candidates, rounded to three significant digits."""
    return [float(f"{bound:.3g}") for bound in np.quantile(confidence, (1 / 3, 2 / 3))]
