"""Which claims of Bad-OOD, GOOD, SONA and SynOOD hold on this experiment: each claim is "one thing is better than another, by some number".

The rule was fixed before the first run. Let d be how much better the one claimed better is, and s the pooled spread
sqrt((std_better^2 + std_worse^2) / 2). The claim held if d > s, did not hold if d < -s, and is within spread in between.
Where a number has no spread, s is 0 and the sign decides.

Claims about training ("training" in column `about`) compare detectors that learnt from different outliers. All others compare scores,
calibrators or candidates, and hold or fail whatever a detector learns from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

NOT_CLAIMED = "(no paper)"  # the source of what is asked here alone
Pair = tuple[float, float]  # of (the one claimed better, the other), as the paper prints them


@dataclass(frozen=True)
class Claim:
    """One comparison of two detectors; `paper` holds its numbers by (metric, group of OOD sets) where it prints any."""

    text: str
    source: str
    better: str
    worse: str
    paper: Mapping[tuple[str, str], Pair]


def _mean(fpr95: Pair, auroc: Pair) -> dict[tuple[str, str], Pair]:
    """Numbers of a paper that averages all its OOD sets: FPR95 (ID positive) and AUROC."""
    return {(metric, group): pair for metric, pair in (("fpr95", fpr95), ("auroc", auroc)) for group in ("near", "far")}


def _apart(near: Pair, far: Pair) -> dict[tuple[str, str], Pair]:
    """Numbers of a paper that prints AUROC only, near and far apart."""
    return {("auroc", "near"): near, ("auroc", "far"): far}


CLAIMS = (
    Claim(
        "Mid-confidence outliers teach more than all of them",
        "Bad-OOD, Table 2",
        "badood-mid",
        "badood-all",
        _mean((0.3969, 0.5406), (0.9171, 0.8875)),
    ),
    Claim(
        "Mid-confidence outliers teach more than as many random ones",
        "Bad-OOD, Table 2",
        "badood-mid",
        "badood-random",
        _mean((0.3969, 0.5352), (0.9171, 0.8943)),
    ),
    Claim("Leaving out the high band helps", "Bad-OOD, Table 2", "badood-mid", "badood-high", _mean((0.3969, 0.5120), (0.9171, 0.8920))),
    Claim("Leaving out the low band helps", "Bad-OOD, Table 2", "badood-mid", "badood-low", _mean((0.3969, 0.4565), (0.9171, 0.9012))),
    Claim(
        "Minority guidance is better than Gaussian noise",
        "Bad-OOD, Table 7",
        "badood-mid",
        "badood-gaussian-mid",
        _mean((0.3651, 0.5714), (0.9220, 0.8724)),
    ),
    Claim(
        "Training on mid-confidence outliers is better than on ID alone",
        "Bad-OOD, Table 1",
        "badood-mid",
        "none",
        _mean((0.3651, 0.4868), (0.9220, 0.8946)),
    ),
    Claim(
        "Training on samples guided out of distribution is better than on ID alone",
        "GOOD, Table 3",
        "good-all",
        "none",
        _mean((0.3082, 0.4868), (0.9281, 0.8946)),
    ),
    Claim(
        "Training on edits that keep the nuisance is better than on ID alone",
        "SONA, Table 4",
        "sona-all",
        "none",
        _apart((0.8838, 0.8250), (0.9587, 0.9086)),
    ),
    Claim(
        "CLIP with a projection and negative labels trained on SynOOD's outliers is better than zero-shot CLIP with negative labels",
        "SynOOD, Table 2",
        "clip-synood",
        "clip",
        # OpenOOD v1.5 as quoted by others; the text of the paper gives differences only (FPR95 -11.13, AUROC +2.80, four far sets)
        _apart((0.7755, 0.7692), (0.9621, 0.9330)) | {("fpr95", "near"): (0.7168, 0.6818), ("fpr95", "far"): (0.1711, 0.2734)},
    ),
    Claim("Training an ordinary detector on SynOOD's outliers is better than on ID alone", NOT_CLAIMED, "synood-all", "none", {}),
    Claim(
        "Training an ordinary detector on SynOOD's mid band is better than on ID alone",
        NOT_CLAIMED,
        "synood-mid",
        "none",
        {},
    ),
)
NEGLABEL = {("fpr95", "far"): (0.2540, 0.4274), ("auroc", "far"): (0.9421, 0.9077)}  # four far sets, ImageNet-1k, ViT-B/16
UNIFIED = {  # mode of the unified score -> (claim, source, the paper's numbers)
    "per-set": (
        "the unified score, told which images are the OOD set, is better than the energy alone",
        "GOOD, Table 3",
        _mean((0.1770, 0.3082), (0.9628, 0.9281)),
    ),
    "id-only": ("the unified score, from ID validation alone, is better than the energy alone", NOT_CLAIMED, {}),
}
TABLE = ("claim", "about", "source", "measure", "spread", "paper_better", "paper_worse", "better", "better_std", "worse", "worse_std")
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
        headline: spread over seeds of each detector's headline score, rows near and far.
    """
    rows = []
    for claim in CLAIMS:
        if {claim.better, claim.worse} <= set(headline.detector):
            sides = [headline[headline.detector == detector] for detector in (claim.better, claim.worse)]
            rows += _measured(claim.text, claim.source, *sides, claim.paper)
    return _about("training", rows)


def clip_claims(all_scores: pd.DataFrame, detector: str = "clip") -> list[dict]:
    """Negative labels against none, both zero-shot (SynOOD, Table 1: NegLabel and MCM).

    Args:
        all_scores: rows of tables/scores.csv.
        detector: the zero-shot one.
    """
    sides = [all_scores[(all_scores.detector == detector) & (all_scores.score == score)] for score in ("neglabel", "mcm")]
    if any(side.empty for side in sides):
        return []
    return _measured("Zero-shot CLIP is better with negative labels (NegLabel) than without (MCM)", "SynOOD, Table 1", *sides, NEGLABEL)


def loss_claims(losses: Mapping[str, np.ndarray]) -> list[dict]:
    """The updates of the noise lower the OOD loss of an image (SynOOD, 3.3); spread = standard error of a share.

    Args:
        losses: [N, iterations] of the images of each method whose noise was updated, after each denoising run.
    """
    rows = []
    for method, values in losses.items():
        fallen = float(np.mean(values[:, -1] < values[:, 0]))
        error = float(np.sqrt(fallen * (1 - fallen) / len(values)))
        key = {
            "claim": f"{method}: the OOD loss is lower after the last iteration than after the first, for more images than not",
            "source": "SynOOD, 3.3",
            "measure": "share of images",
            "spread": "standard error",
        }
        pair = (fallen, error), (1 - fallen, error)
        rows.append(key | {"paper_better": np.nan, "paper_worse": np.nan} | compare(*pair))
    return rows


def _about(subject: str, rows: list[dict]) -> list[dict]:
    return [row | {"about": subject} for row in rows]


def unified_claims(unified: pd.DataFrame, detector: str = "good-all") -> list[dict]:
    """The unified score against the energy alone, in the paper's mode (GOOD, Table 3) and in the one that a deployed detector has.

    Args:
        unified: rows of tables/unified.csv; the first of a mode is the headline's.
        detector: whose scores.
    """
    chosen = unified[(unified.detector == detector) & (unified.set == unified.group)].drop_duplicates(["mode", "set"])
    rows = []
    for mode, (text, source, paper) in UNIFIED.items():
        if mode in set(chosen["mode"]):
            sides = chosen[chosen["mode"] == mode], chosen[chosen["mode"] == "energy"]
            rows += _measured(f"{detector}: {text}", source, *sides, paper)
    return rows


def _measured(text: str, source: str, better: pd.DataFrame, worse: pd.DataFrame, paper: Mapping[tuple[str, str], Pair]) -> list[dict]:
    """Rows of one claim: near and far by FPR95 and AUROC, of frames with a row for each group and columns METRIC_mean, METRIC_std."""
    rows = []
    for metric, sign in SIGNS.items():
        for group in ("near", "far"):
            found = [side[side.set == group] for side in (better, worse)]
            if any(side.empty for side in found):
                continue
            pair = [(side[f"{COLUMNS[metric]}_mean"].iloc[0], side[f"{COLUMNS[metric]}_std"].iloc[0]) for side in found]
            key = {"claim": text, "source": source, "measure": f"{metric.upper()} {group}", "spread": "seeds"}
            printed = paper.get((metric, group), (np.nan, np.nan))
            rows.append(key | {"paper_better": printed[0], "paper_worse": printed[1]} | compare(*pair, sign=sign))
    return rows


def strength_claims(strengths: pd.DataFrame, method: str = "good") -> list[dict]:
    """More guidance means further out (GOOD, Fig. 4 and 7): the greatest strength against the least; spread = standard error of the mean.

    Args:
        strengths: rows of tables/strengths.csv.
        method: whose candidates.
    """
    rows = []
    for guidance, strength, measure in (("image", "rho", "energy"), ("image", "mu", "energy"), ("feature", "rho", "knn")):
        chosen = strengths[(strengths.method == method) & (strengths.guidance == guidance)]
        together = (chosen.rho == chosen.mu).all()
        if chosen[strength].nunique() > 1 and not (together and strength == "mu"):
            least, greatest = chosen[strength].min(), chosen[strength].max()
            name = "rho = mu" if together else strength
            key = {
                "claim": f"{method}: the greatest {name} of {guidance} guidance takes samples further out than the least",
                "source": "GOOD, Fig. 4",
                "measure": {"energy": "energy", "knn": "k-NN distance"}[measure],
                "spread": "standard error",
            }
            pair = [_pooled(chosen[chosen[strength] == value], measure) for value in (greatest, least)]
            rows.append(key | {"paper_better": np.nan, "paper_worse": np.nan} | compare(*pair))
    return rows


def _pooled(cells: pd.DataFrame, measure: str) -> tuple[float, float]:
    """Mean and its standard error over all candidates of some rows of tables/strengths.csv."""
    n, means, stds = cells["count"], cells[f"{measure}_mean"], cells[f"{measure}_std"].fillna(0)
    total, mean = n.sum(), (n * means).sum() / n.sum()
    squares = ((n - 1) * stds**2 + n * (means - mean) ** 2).sum()
    return float(mean), float(np.sqrt(squares / (total - 1) / total)) if total > 1 else float("nan")


def distance_claims(distances: pd.DataFrame, method: str = "badood") -> list[dict]:
    """The more anomalous a band, the farther from its source (Table 11); by L2, on the random draw; spread = standard error of the mean."""
    chosen = distances[(distances.method == method) & (distances.drawn == "random") & (distances.distance == "l2")].set_index("band")
    rows = []
    for further, nearer, paper in (("high", "mid", (0.334, 0.138)), ("mid", "low", (0.138, 0.104))):
        if {further, nearer} <= set(chosen.index[chosen["count"] > 1]):
            key = {
                "claim": f"{method}: outliers of the {further} band lie farther from their source than those of the {nearer} band",
                "source": "Bad-OOD, Table 11",
            }
            pair = [(chosen["mean"][band], chosen["sem"][band]) for band in (further, nearer)]
            paper_pair = {"paper_better": paper[0], "paper_worse": paper[1]}
            rows.append(key | {"measure": "L2 distance", "spread": "standard error"} | paper_pair | compare(*pair))
    return rows


def calibrator_claims(calibrators: pd.DataFrame, method: str = "badood") -> list[dict]:
    """Beta calibration is better calibrated than the others (Table 6, Appendix E; Platt's is not in it); the paper prints no such error."""
    chosen = calibrators[calibrators.method == method].set_index("calibrator")
    rows = []
    for other, source in (("temperature", "Bad-OOD, Table 6"), ("isotonic", "Bad-OOD, Table 6"), ("platt", NOT_CLAIMED)):
        if {"beta", other} <= set(chosen.index):
            key = {
                "claim": f"{method}: beta calibration is better calibrated than {other}",
                "source": source,
                "measure": "NLL",
                "spread": "none",
            }
            pair = [(chosen["nll"][name], np.nan) for name in ("beta", other)]
            rows.append(key | {"paper_better": np.nan, "paper_worse": np.nan} | compare(*pair, sign=-1))
    return rows


def shift_claims(summary: pd.DataFrame, detector: str = "badood-mid") -> list[dict]:
    """The calibrated confidence rises with covariate shift (4.4, Fig. 5): strongest shift against none, for each kind."""
    chosen = summary[summary.detector == detector]
    rows = []
    for kind, row in chosen.set_index("kind").iterrows():
        key = {
            "claim": f"{detector}: P(OOD) is higher at the strongest shift by {kind} than at none",
            "source": "Bad-OOD, Fig. 5",
            "measure": "confidence",
            "spread": "seeds",
        }
        pair = (row.strongest_mean, row.strongest_std), (row.clean_mean, row.clean_std)
        rows.append(key | {"paper_better": np.nan, "paper_worse": np.nan} | compare(*pair))
    return rows


def claims_table(
    headline: pd.DataFrame,
    all_scores: pd.DataFrame,
    losses: Mapping[str, np.ndarray],
    distances: pd.DataFrame,
    calibrators: pd.DataFrame,
    shift: pd.DataFrame,
    unified: pd.DataFrame,
    strengths: pd.DataFrame,
) -> pd.DataFrame:
    """Every claim that this experiment can test, one row for each measure; no rows where it can test none."""
    others = distance_claims(distances) + calibrator_claims(calibrators) + shift_claims(shift) + unified_claims(unified)
    others += strength_claims(strengths) + clip_claims(all_scores) + loss_claims(losses)
    return pd.DataFrame(detector_claims(headline) + _about("other", others), columns=list(TABLE))
