"""How well each calibrator turns a score into a probability, and what it would keep (the role of Bad-OOD, Table 6)."""

import numpy as np
import pandas as pd

from penumbra.values import BANDS

CALIBRATORS = ("beta", "temperature", "platt", "isotonic")
BINS = 20  # of the histogram of confidence: bounds in steps of 0.05 lie on its edges


def calibrators_table(method: str, calibration: dict, selection: pd.DataFrame, mid: tuple[float, float]) -> pd.DataFrame:
    """One row for the raw score and for each calibrator.

    Args:
        method: synthesis method.
        calibration: content of data/calibration/DETECTOR.json; its measures are cross-fitted on ID validation and calibration OOD.
        selection: rows of data/selections/METHOD.parquet.
        mid: bounds of the mid band.

    Returns:
        Columns method, calibrator, the measures (ece, brier, nll, ...), low, mid, high (candidates in each band by it), chosen.
    """
    rows = []
    for name, measures in calibration["measures"].items():
        row = {"method": method, "calibrator": name, **measures}
        if f"confidence_{name}" in selection:
            confidence = selection[f"confidence_{name}"].to_numpy()
            counts = np.bincount(np.searchsorted(mid, confidence, side="right"), minlength=3)
            row |= dict(zip(BANDS, counts.tolist(), strict=True))
        rows.append(row | {"chosen": name == calibration["calibrator"]})
    table = pd.DataFrame(rows)
    return table.astype({band: "Int64" for band in BANDS})


def reliability_curves(method: str, calibration: dict) -> pd.DataFrame:
    """Rows method, calibrator, confidence, frequency, count: the bins of each reliability diagram that hold images."""
    rows = [
        {"method": method, "calibrator": name, **point}
        for name, points in calibration["reliability"].items()
        for point in points
        if point["count"]
    ]
    return pd.DataFrame(rows)[["method", "calibrator", "confidence", "frequency", "count"]]


def confidence_histogram(method: str, selection: pd.DataFrame) -> pd.DataFrame:
    """Rows method, calibrator, confidence (centre of a bin), count: the candidates' P(OOD) by each calibrator."""
    edges = np.linspace(0, 1, BINS + 1)
    frames = []
    for name in CALIBRATORS:
        counts, _ = np.histogram(selection[f"confidence_{name}"], edges)
        frames.append(pd.DataFrame({"method": method, "calibrator": name, "confidence": (edges[1:] + edges[:-1]) / 2, "count": counts}))
    return pd.concat(frames)
