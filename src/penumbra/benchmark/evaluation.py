"""Scores of test images -> metrics of every detector, score, test set and seed, and their spread over seeds."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from penumbra.benchmark.metrics import METRICS, evaluate
from penumbra.errors import PenumbraError
from penumbra.scores import SCORES

HEADLINE = {"near_auroc": ("near", "auroc"), "far_auroc": ("far", "auroc"), "near_fpr95": ("near", "fpr95_id_tpr")}


def scores_of(scores: pd.DataFrame, more: Iterable[str] = ()) -> list[str]:
    """The scores that a detector is evaluated by: those that it has, of all and of `more`, the names in score.more."""
    return [name for name in (*SCORES, *more) if name in scores]


def check_finite(detector: str, scores: pd.DataFrame) -> None:
    """Refuse scores that are not numbers.

    Raises:
        PenumbraError: naming the detector, the score, the seed and the first image.
    """
    for score in scores.select_dtypes("floating"):  # the others are keys and classes
        bad = scores.loc[~np.isfinite(scores[score])]
        if len(bad):
            row = bad.iloc[0]
            where = f"{row.sample_id} (seed {row.seed}), and for {len(bad) - 1} more rows"
            raise PenumbraError(
                f"data/scores/{detector}.parquet: {score} is {row[score]} for {where}. "
                "Training has diverged; lower train's learning_rate or beta."
            )


def evaluate_detector(detector: str, scores: pd.DataFrame, more: Iterable[str] = ()) -> pd.DataFrame:
    """Metrics of one detector against ID test images.

    Args:
        detector: its name.
        scores: columns of data/scores/DETECTOR.parquet.
        more: names of the scores in score.more.

    Returns:
        Rows detector, score, set, group, seed, *METRICS: one for each OOD set; near and far are means over their sets.
    """
    rows, names = [], scores_of(scores, more)
    for seed, of_seed in scores.groupby("seed"):
        inside = of_seed[of_seed.group == "id"]
        ood = of_seed[of_seed.group.isin(["near", "far"])]
        for (group, name), outside in ood.groupby(["group", "set"], sort=False):
            key = {"detector": detector, "set": name, "group": group, "seed": seed}
            rows += [key | {"score": score} | evaluate(inside[score].to_numpy(), outside[score].to_numpy()) for score in names]
    sets = pd.DataFrame(rows)
    means = sets.groupby(["detector", "score", "group", "seed"], sort=False)[list(METRICS)].mean().reset_index()
    result = pd.concat([means.assign(set=means.group), sets])
    return result[["detector", "score", "set", "group", "seed", *METRICS]]


def id_accuracy(detector: str, scores: pd.DataFrame) -> pd.DataFrame:
    """Rows detector, seed, id_acc: the share of ID test images whose class is predicted."""
    inside = scores[scores.group == "id"]
    accuracy = (inside.predicted == inside.label).groupby(inside.seed).mean()
    return accuracy.rename("id_acc").reset_index().assign(detector=detector)[["detector", "seed", "id_acc"]]


def spread(frame: pd.DataFrame, by: list[str], values: list[str]) -> pd.DataFrame:
    """Mean and sample standard deviation of `values` over the rows of each group: columns VALUE_mean, VALUE_std (NaN for one seed)."""
    columns = [f"{value}_{moment}" for value in values for moment in ("mean", "std")]
    if frame.empty:
        return pd.DataFrame(columns=[*by, *columns])
    result = frame.groupby(by, sort=False, dropna=False)[values].agg(["mean", "std"])
    result.columns = columns
    return result.reset_index()


def metrics_json(headline: pd.DataFrame, accuracy: pd.DataFrame, data: str) -> dict:
    """The content of reports/metrics.json.

    Args:
        headline: `spread` rows of each detector's headline score.
        accuracy: `spread` rows of id_acc.
        data: the data set in words.

    Returns:
        data: the data set.
        detectors.NAME.(near|far|SET).METRIC.(mean|std) and detectors.NAME.id_acc.(mean|std); std is null for one seed.
        detectors.NAME.score: the headline score.
    """
    detectors: dict[str, dict] = {}
    for row in accuracy.to_dict("records"):
        detectors[row["detector"]] = {"id_acc": _entry(row, "id_acc")}
    for row in headline.to_dict("records"):
        detectors[row["detector"]]["score"] = row["score"]
        detectors[row["detector"]][row["set"]] = {metric: _entry(row, metric) for metric in METRICS}
    return {"data": data, "detectors": detectors}


def headline_json(metrics: dict) -> dict:
    """The content of reports/headline.json, the only metrics that DVC shows: three numbers for each detector, in percent.

    Differences of less than a tenth of a percent are far below the spread over seeds, so one decimal is kept: a diff that is empty
    then means that nothing to speak of has changed. How large the spread is, reports/metrics.json knows.

    Args:
        metrics: what `metrics_json` returns.

    Returns:
        data: the data set. MEASURE.DETECTOR: mean over seeds, by the detector's headline score, for each measure of HEADLINE.
    """
    detectors = metrics["detectors"]
    measures = {
        measure: {name: round(100 * result[group][metric]["mean"], 1) for name, result in detectors.items() if group in result}
        for measure, (group, metric) in HEADLINE.items()
    }
    return {"data": metrics["data"]} | {measure: values for measure, values in measures.items() if values}


def _entry(row: dict, value: str) -> dict[str, float | None]:
    std = row[f"{value}_std"]
    return {"mean": round(row[f"{value}_mean"], 6), "std": None if np.isnan(std) else round(std, 6)}
