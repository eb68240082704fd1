"""Every claim's difference by training seed: what a study gathers over generator seeds (`intervals`)."""

from collections.abc import Mapping

import pandas as pd

from penumbra.benchmark.claims import METRICS, Claim, read

TABLE = ("claim", "about", "source", "measure", "seed", "difference")
GROUPS = ("near", "far")


def pairs_table(claims: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """Paired differences, oriented so that more is better for the one claimed better.

    Args:
        claims: the claims table of this run.
        metrics: rows of `evaluation.evaluate_detector` of all detectors.

    Returns:
        Rows claim, about, source, measure, seed, difference: one for each training seed where two detectors, or two scores of one, are
        compared; else one in all, whose seed is NaN.
    """
    sides = {}
    for claim in read():
        if claim.measure == "detectors":
            sides[claim.text] = claim, [(name, claim.of) for name in (claim.better, claim.worse)]
        elif claim.measure == "scores":
            sides[claim.text] = claim, [(claim.of, score) for score in (claim.better, claim.worse)]
    rows = [row for claim, pair in sides.values() for row in _by_seed(claim, *(_of(metrics, *side) for side in pair))]
    whole = claims[~claims.claim.isin(list(sides))].assign(seed=float("nan"))
    return pd.concat([pd.DataFrame(rows, columns=list(TABLE)), whole[list(TABLE)]], ignore_index=True)


def _of(metrics: pd.DataFrame, detector: str, score: str) -> pd.DataFrame:
    found = metrics[(metrics.detector == detector) & (metrics.score == score) & metrics.set.isin(GROUPS)]
    return found.set_index(["set", "seed"])


def _by_seed(claim: Claim, better: pd.DataFrame, worse: pd.DataFrame) -> list[dict]:
    key = {"claim": claim.text, "about": claim.about, "source": claim.source}
    rows = []
    for metric, (column, sign) in METRICS.items():
        differences = (sign * (better[column] - worse[column])).dropna()  # where both have the seed
        rows += [
            key | {"measure": f"{metric} {group}", "seed": seed, "difference": differences[group, seed]}
            for group, seed in differences.index
        ]
    return rows


def seeds_table(metrics: pd.DataFrame, accuracy: pd.DataFrame, chosen: Mapping[str, str]) -> pd.DataFrame:
    """The headline numbers by training seed: rows detector, score, seed, GROUP_METRIC for near and far, id_acc.

    Args:
        metrics: as of `pairs_table`.
        chosen: the headline score of each detector.
        accuracy: rows detector, seed, id_acc.
    """
    first = metrics[(metrics.score == metrics.detector.map(chosen)) & metrics.set.isin(GROUPS)]
    columns = [column for column, _ in METRICS.values()]
    wide = first.pivot(index=["detector", "score", "seed"], columns="set", values=columns)
    wide.columns = [f"{group}_{column}" for column, group in wide.columns]
    order = [f"{group}_{column}" for group in GROUPS for column in columns if f"{group}_{column}" in wide]
    rows = wide[order].reset_index().merge(accuracy, on=["detector", "seed"])
    place = {name: index for index, name in enumerate(chosen)}
    return rows.iloc[rows.detector.map(place).argsort(kind="stable")].reset_index(drop=True)
