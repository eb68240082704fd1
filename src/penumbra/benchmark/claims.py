"""Which claims of Bad-OOD hold on this experiment: each claim is "one thing is better than another, by some number".

The rule was fixed before the first run. Let d be how much better the one claimed better is, and s the pooled spread
sqrt((std_better^2 + std_worse^2) / 2). The claim held if d > s, did not hold if d < -s, and is within spread in between.
Where a number has no spread, s is 0 and the sign decides.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Claim:
    """One comparison of two detectors; `fpr95` (ID positive) and `auroc` are the paper's means over its OOD sets, of (better, worse)."""

    text: str
    source: str
    better: str
    worse: str
    fpr95: tuple[float, float]
    auroc: tuple[float, float]


CLAIMS = (
    Claim("Mid-confidence outliers teach more than all of them", "Table 2", "badood-mid", "badood-all", (0.3969, 0.5406), (0.9171, 0.8875)),
    Claim(
        "Mid-confidence outliers teach more than as many random ones",
        "Table 2",
        "badood-mid",
        "badood-random",
        (0.3969, 0.5352),
        (0.9171, 0.8943),
    ),
    Claim("Leaving out the high band helps", "Table 2", "badood-mid", "badood-high", (0.3969, 0.5120), (0.9171, 0.8920)),
    Claim("Leaving out the low band helps", "Table 2", "badood-mid", "badood-low", (0.3969, 0.4565), (0.9171, 0.9012)),
    Claim(
        "Minority guidance is better than Gaussian noise",
        "Table 7",
        "badood-mid",
        "badood-gaussian-mid",
        (0.3651, 0.5714),
        (0.9220, 0.8724),
    ),
    Claim(
        "Training on mid-confidence outliers is better than on ID alone",
        "Table 1",
        "badood-mid",
        "none",
        (0.3651, 0.4868),
        (0.9220, 0.8946),
    ),
)
TABLE = ("claim", "source", "measure", "spread", "paper_better", "paper_worse", "better", "better_std", "worse", "worse_std")
TABLE += ("difference", "pooled_std", "verdict")
SIGNS = {"fpr95": -1, "auroc": 1}  # of "better"
COLUMNS = {"fpr95": "fpr95_id_tpr", "auroc": "auroc"}


def verdict(difference: float, pooled: float) -> str:
    """held, did not hold, or within spread, by the rule of this module."""
    if abs(difference) <= pooled:
        return "within spread"
    return "held" if difference > 0 else "did not hold"


def compare(better: tuple[float, float], worse: tuple[float, float], sign: int = 1) -> dict:
    """Our side of a claim: (mean, spread) of both, how much better the first is, the pooled spread, the verdict."""
    stds = np.nan_to_num([better[1], worse[1]])
    difference, pooled = sign * (better[0] - worse[0]) + 0.0, float(np.sqrt(np.mean(stds**2)))
    means = {"better": better[0], "better_std": better[1], "worse": worse[0], "worse_std": worse[1]}
    return means | {"difference": difference, "pooled_std": pooled, "verdict": verdict(difference, pooled)}


def detector_claims(headline: pd.DataFrame) -> list[dict]:
    """Every claim of CLAIMS whose detectors are in the experiment, for near and far OOD, by FPR95 and by AUROC.

    Args:
        headline: spread over seeds of the headline score, rows near and far.
    """
    rows = []
    for claim in CLAIMS:
        for metric, sign in SIGNS.items():
            for group in ("near", "far"):
                ours = headline[headline.set == group].set_index("detector")
                if not {claim.better, claim.worse} <= set(ours.index):
                    continue
                column = COLUMNS[metric]
                pair = [(ours[f"{column}_mean"][detector], ours[f"{column}_std"][detector]) for detector in (claim.better, claim.worse)]
                key = {"claim": claim.text, "source": claim.source, "measure": f"{metric.upper()} {group}", "spread": "seeds"}
                paper = dict(zip(("paper_better", "paper_worse"), getattr(claim, metric), strict=True))
                rows.append(key | paper | compare(*pair, sign=sign))
    return rows


def distance_claims(distances: pd.DataFrame, method: str = "badood") -> list[dict]:
    """The more anomalous a band, the farther from its source (Table 11); by L2, on the random draw; spread = standard error of the mean."""
    chosen = distances[(distances.method == method) & (distances.drawn == "random") & (distances.distance == "l2")].set_index("band")
    rows = []
    for further, nearer, paper in (("high", "mid", (0.334, 0.138)), ("mid", "low", (0.138, 0.104))):
        if {further, nearer} <= set(chosen.index[chosen["count"] > 1]):
            key = {
                "claim": f"Outliers of the {further} band lie farther from their source than those of the {nearer} band",
                "source": "Table 11",
            }
            pair = [(chosen["mean"][band], chosen["sem"][band]) for band in (further, nearer)]
            paper_pair = {"paper_better": paper[0], "paper_worse": paper[1]}
            rows.append(key | {"measure": "L2 distance", "spread": "standard error"} | paper_pair | compare(*pair))
    return rows


def calibrator_claims(calibrators: pd.DataFrame, method: str = "badood") -> list[dict]:
    """Beta calibration is better calibrated than the others (Table 6, Appendix E); the paper prints no calibration error."""
    chosen = calibrators[calibrators.method == method].set_index("calibrator")
    rows = []
    for other in ("temperature", "isotonic"):
        if {"beta", other} <= set(chosen.index):
            key = {"claim": f"Beta calibration is better calibrated than {other}", "source": "Table 6", "measure": "NLL", "spread": "none"}
            pair = [(chosen["nll"][name], np.nan) for name in ("beta", other)]
            rows.append(key | {"paper_better": np.nan, "paper_worse": np.nan} | compare(*pair, sign=-1))
    return rows


def shift_claims(summary: pd.DataFrame, detector: str = "badood-mid") -> list[dict]:
    """The calibrated confidence rises with covariate shift (4.4, Fig. 5): strongest shift against none, for each kind."""
    chosen = summary[summary.detector == detector]
    rows = []
    for kind, row in chosen.set_index("kind").iterrows():
        key = {"claim": f"P(OOD) rises with covariate shift by {kind}", "source": "Fig. 5", "measure": "confidence", "spread": "seeds"}
        pair = (row.strongest_mean, row.strongest_std), (row.clean_mean, row.clean_std)
        rows.append(key | {"paper_better": np.nan, "paper_worse": np.nan} | compare(*pair))
    return rows


def claims_table(headline: pd.DataFrame, distances: pd.DataFrame, calibrators: pd.DataFrame, shift: pd.DataFrame) -> pd.DataFrame:
    """Every claim that this experiment can test, one row for each measure; no rows where it can test none."""
    rows = detector_claims(headline) + distance_claims(distances) + calibrator_claims(calibrators) + shift_claims(shift)
    return pd.DataFrame(rows, columns=list(TABLE))
