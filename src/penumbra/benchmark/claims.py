"""Which claims of the papers hold on this experiment: each claim is "one thing is better than another, by some number".

The claims are data, claims.csv, and so are the numbers that the papers print (`papers`):

- claim: what is claimed; words in braces are filled in for each row that the claim has.
- about: training (detectors that learnt from different outliers) or other (scores, calibrators and candidates themselves, which
  hold or fail whatever a detector learns from them).
- source: a paper and a table of it, or NOT_CLAIMED.
- measure: the comparison, a name in COMPARISONS or in those of a method's module.
- of: the detector or method that it is about, or the score by which two detectors are compared; better, worse: the two things. Papers
  compare detectors by the energy, SynOOD by NegLabel's score; ViM, the headline of the embedded experiment, is asked beside them.
- paper_better, paper_worse: the rows of the source's table that print them, where it does; "ROW / SET" is what a row says of one test set.

The rule for one run was fixed before the first run. Let d be how much better the one claimed better is, and s the pooled spread
sqrt((std_better^2 + std_worse^2) / 2). The claim held if d > s, is contradicted if d < -s, and is undecided in between.
Where a number has no spread, s is 0 and the sign decides. What holds for other generators, too, a study says (`intervals`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from penumbra.benchmark import papers
from penumbra.benchmark.found import Found, Frames
from penumbra.benchmark.intervals import CONTRADICTED, HELD, UNDECIDED

NOT_CLAIMED = "(no paper)"  # the source of what is asked here alone
TABLE = ("claim", "about", "source", "measure", "spread", "paper_better", "paper_worse", "better", "better_std", "worse", "worse_std")
TABLE += ("difference", "pooled_std", "verdict")
METRICS = {"FPR95": ("fpr95_id_tpr", -1), "AUROC": ("auroc", 1)}  # as the papers call it -> (as we do, sign of "better")
Pair = tuple[float, float]  # mean and spread


@dataclass(frozen=True)
class Claim:
    """A line of claims.csv."""

    text: str
    about: str
    source: str
    measure: str
    of: str
    better: str
    worse: str
    paper_better: str
    paper_worse: str

    def printed(self, metric: str, group: str = "") -> dict[str, float]:
        """The paper's side: paper_better, paper_worse; NaN where it prints nothing."""
        rows = {"paper_better": self.paper_better, "paper_worse": self.paper_worse}
        return {key: papers.value(papers.printed(self.source, row), metric, group) if row else np.nan for key, row in rows.items()}


@dataclass(frozen=True)
class Measured:
    """Our side of all claims.

    Attributes:
        tables: of reports/tables.
        found: what the experiment has made.
    """

    tables: Frames
    found: Found


Comparison = Callable[[Claim, Measured], list[dict]]


def read() -> list[Claim]:
    """The claims, in order."""
    return [Claim(*row) for row in papers.read("claims").itertuples(index=False)]


def verdict(difference: float, pooled: float) -> str:
    """held, contradicted or undecided, by the rule of this module."""
    if abs(difference) <= pooled:
        return UNDECIDED
    return HELD if difference > 0 else CONTRADICTED


def compare(better: Pair, worse: Pair, sign: int = 1) -> dict:
    """Our side of a claim: (mean, spread) of both, how much better the first is, the pooled spread, the verdict."""
    stds = np.nan_to_num([better[1], worse[1]])
    difference, pooled = sign * (better[0] - worse[0]) + 0.0, float(np.sqrt(np.mean(stds**2)))
    means = {"better": better[0], "better_std": better[1], "worse": worse[0], "worse_std": worse[1]}
    return means | {"difference": difference, "pooled_std": pooled, "verdict": verdict(difference, pooled)}


def _groups(claim: Claim, better: pd.DataFrame, worse: pd.DataFrame) -> list[dict]:
    """Rows of one claim: near and far by FPR95 and AUROC, of frames with a row for each group and columns METRIC_mean, METRIC_std."""
    rows = []
    for metric, (column, sign) in METRICS.items():
        for group in ("near", "far"):
            found = [side[side.set == group] for side in (better, worse)]
            if any(side.empty for side in found):
                continue
            pair = [(side[f"{column}_mean"].iloc[0], side[f"{column}_std"].iloc[0]) for side in found]
            key = {"measure": f"{metric} {group}", "spread": "seeds"}
            rows.append(key | claim.printed(metric, group) | compare(*pair, sign=sign))
    return rows


def detectors(claim: Claim, measured: Measured) -> list[dict]:
    """Two detectors, by the score that the claim says."""
    table = measured.tables["scores"]
    return _groups(claim, *(table[(table.detector == detector) & (table.score == claim.of)] for detector in (claim.better, claim.worse)))


def scores(claim: Claim, measured: Measured) -> list[dict]:
    """Two scores of one detector."""
    table = measured.tables["scores"]
    return _groups(claim, *(table[(table.detector == claim.of) & (table.score == score)] for score in (claim.better, claim.worse)))


def unified(claim: Claim, measured: Measured) -> list[dict]:
    """Two modes of the unified score of one detector, at the headline's k and a: the first rows of a mode."""
    table = measured.tables["unified"]
    chosen = table[(table.detector == claim.of) & (table.set == table.group)].drop_duplicates(["mode", "set"])
    return _groups(claim, *(chosen[chosen["mode"] == mode] for mode in (claim.better, claim.worse)))


def sets(claim: Claim, measured: Measured) -> list[dict]:
    """Two near test sets of one detector, by its energy (EBO): the better one is the harder one."""
    table = measured.tables["scores"]
    near = table[(table.detector == claim.of) & (table.score == "energy") & (table.group == "near")].set_index("set")
    if not {claim.better, claim.worse} <= set(near.index):
        return []
    rows = []
    for metric, (column, sign) in METRICS.items():
        pair = [(near[f"{column}_mean"][name], near[f"{column}_std"][name]) for name in (claim.better, claim.worse)]
        rows.append({"measure": metric, "spread": "seeds"} | claim.printed(metric) | compare(*pair, sign=-sign))
    return rows


def distance(claim: Claim, measured: Measured) -> list[dict]:
    """Two bands of a method's candidates, by L2 on the random draw; spread = standard error of the mean."""
    table = measured.tables["distances"]
    chosen = table[(table.method == claim.of) & (table.drawn == "random") & (table.distance == "l2")].set_index("band")
    if not {claim.better, claim.worse} <= set(chosen.index[chosen["count"] > 1]):
        return []
    pair = [(chosen["mean"][band], chosen["sem"][band]) for band in (claim.better, claim.worse)]
    key = {"measure": "L2 distance", "spread": "standard error"}
    return [key | claim.printed("feature distance") | compare(*pair)]


def calibration(claim: Claim, measured: Measured) -> list[dict]:
    """Two calibrators of the candidates of a method."""
    table = measured.tables["calibrators"]
    chosen = table[table.method == claim.of].set_index("calibrator")
    if not {claim.better, claim.worse} <= set(chosen.index):
        return []
    pair = [(chosen["nll"][name], np.nan) for name in (claim.better, claim.worse)]
    return [{"measure": "NLL", "spread": "none"} | compare(*pair, sign=-1)]


def shift(claim: Claim, measured: Measured) -> list[dict]:
    """The calibrated confidence of a detector at two strengths of covariate shift, for each kind of it."""
    table = measured.tables["shift"]
    rows = []
    for kind, row in table[table.detector == claim.of].set_index("kind").iterrows():
        key = {"claim": claim.text.format(kind=kind), "measure": "confidence", "spread": "seeds"}
        rows.append(key | compare(*((row[f"{end}_mean"], row[f"{end}_std"]) for end in (claim.better, claim.worse))))
    return rows


COMPARISONS: Mapping[str, Comparison] = {
    "detectors": detectors,
    "scores": scores,
    "unified": unified,
    "sets": sets,
    "distance": distance,
    "calibration": calibration,
    "shift": shift,
}


def claims_table(measured: Measured, comparisons: Mapping[str, Comparison]) -> pd.DataFrame:
    """Every claim that this experiment can test, one row for each measure; no rows where it can test none.

    Args:
        measured: our side.
        comparisons: those of the methods that the experiment has. Claims that need another method's are left out.
    """
    known = {**COMPARISONS, **comparisons}
    rows = []
    for claim in read():
        compared = known[claim.measure](claim, measured) if claim.measure in known else []
        rows += [{"claim": claim.text, "about": claim.about, "source": claim.source} | row for row in compared]
    return pd.DataFrame(rows, columns=list(TABLE))
