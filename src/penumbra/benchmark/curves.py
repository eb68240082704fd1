"""What the plots draw: ROC curves and histograms of the score."""

import numpy as np
import pandas as pd

from penumbra.benchmark.metrics import roc

RATES = np.unique(np.concatenate([np.linspace(0, 0.1, 41), np.linspace(0.1, 1, 91)]))


def roc_curve(detector: str, scores: pd.DataFrame, score: str) -> pd.DataFrame:
    """ROC of near and far OOD, averaged over test sets and then over seeds at equal shares of ID rejected, as the metrics are.

    Returns:
        Rows detector, group, fpr, tpr, tpr_std.
    """
    frames = []
    for group in [group for group in ("near", "far") if (scores.group == group).any()]:
        curves = []
        for _, of_seed in scores.groupby("seed"):
            inside = of_seed.loc[of_seed.group == "id", score].to_numpy()
            sets = of_seed[of_seed.group == group].groupby("set")[score]
            curves.append(np.mean([roc(inside, outside.to_numpy(), RATES) for _, outside in sets], axis=0))
        std = np.std(curves, axis=0, ddof=1) if len(curves) > 1 else np.full(len(RATES), np.nan)
        frames.append(pd.DataFrame({"detector": detector, "group": group, "fpr": RATES, "tpr": np.mean(curves, axis=0), "tpr_std": std}))
    return pd.concat(frames)


def score_histogram(detector: str, scores: pd.DataFrame, score: str, bins: int) -> pd.DataFrame:
    """Density of the score of ID, near and far test images, all seeds together; the outermost half percent on each side is cut off.

    Returns:
        Rows detector, group, SCORE (centre of a bin), density.
    """
    shown = scores[scores.group.isin(["id", "near", "far"])]
    low, high = np.quantile(shown[score], [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    frames = []
    for group in [group for group in ("id", "near", "far") if (shown.group == group).any()]:
        values = shown.loc[shown.group == group, score]
        counts, _ = np.histogram(values, edges)
        density = counts / (len(values) * np.diff(edges))
        frames.append(pd.DataFrame({"detector": detector, "group": group, score: (edges[1:] + edges[:-1]) / 2, "density": density}))
    return pd.concat(frames)
