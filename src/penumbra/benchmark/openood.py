"""Scores of a detector as OpenOOD's evaluator writes them: scores/SET.npz and ood.csv for each run, and a table over the runs.

There a higher score, `conf`, is more ID, OOD has label -1 and is the positive class, and numbers are percent. AUPR is the area by the
trapezoid rule, as OpenOOD has it, and not the average precision of our own tables (`metrics.py` says why).
"""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from penumbra.benchmark.metrics import fpr_at_recall
from penumbra.ranks import accepted, area, counts

COLUMNS = ("FPR@95", "AUROC", "AUPR_IN", "AUPR_OUT", "ACC")
GROUPS = {"near": "nearood", "far": "farood"}


def write(directory: Path, score: str, scores: pd.DataFrame) -> None:
    """Write DIRECTORY/sSEED/{ood.csv, scores/SET.npz} for each training seed, and DIRECTORY/ood/SCORE.csv.

    Args:
        directory: a new one, which OpenOOD would call the results of one experiment.
        score: a column of `scores`; higher = more OOD.
        scores: rows of data/scores/DETECTOR.parquet.
    """
    names = _names(scores)
    runs = {seed: _run(of_seed, score, names) for seed, of_seed in scores.groupby("seed")}
    for seed, (arrays, rows) in runs.items():
        folder = directory / f"s{seed}"
        (folder / "scores").mkdir(parents=True)
        for name, of_set in arrays.items():
            np.savez(folder / "scores" / f"{name}.npz", **of_set)
        with (folder / "ood.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["dataset", *COLUMNS])
            writer.writerows([name, *(f"{value:.2f}" for value in values)] for name, values in rows.items())
    (directory / "ood").mkdir()
    all_rows = np.array([list(rows.values()) for _, rows in runs.values()])
    spreads = zip(all_rows.mean(0), all_rows.std(0), strict=True)
    cells = [[f"{mean:.2f} ± {std:.2f}" for mean, std in zip(*row, strict=True)] for row in spreads]
    frame = pd.DataFrame(cells, index=list(next(iter(runs.values()))[1]), columns=list(COLUMNS))
    frame.to_csv(directory / "ood" / f"{score}.csv", lineterminator="\n")


def _names(scores: pd.DataFrame) -> dict[tuple[str, str], str]:
    """What each test set is called, by group and set: by its name, and with its group where two have one name."""
    found = list(scores[scores.group.isin(["id", *GROUPS])][["group", "set"]].drop_duplicates().itertuples(index=False, name=None))
    often = Counter(name for _, name in found)
    return {(group, name): name if often[name] == 1 else f"{group}-{name}" for group, name in found}


def _run(scores: pd.DataFrame, score: str, names: dict[tuple[str, str], str]) -> tuple[dict[str, dict], dict[str, list[float]]]:
    """Of one training seed: arrays pred, conf and label of each set; percent of COLUMNS of each set, and of near and far as wholes."""
    arrays, rows = {}, {}
    parts = {key: scores[(scores.group == key[0]) & (scores.set == key[1])] for key in names}
    inside = pd.concat(part for (group, _), part in parts.items() if group == "id")
    accuracy = float((inside.predicted == inside.label).mean())
    for (group, name), part in parts.items():
        label = part.label.to_numpy(np.int64) if group == "id" else np.full(len(part), -1)
        conf = -part[score].to_numpy(np.float64)
        arrays[names[group, name]] = {"pred": part.predicted.to_numpy(np.int64), "conf": conf, "label": label}
    for group, whole in GROUPS.items():
        of_group = {
            names[key]: [100 * value for value in (*measures(inside[score].to_numpy(), part[score].to_numpy()), accuracy)]
            for key, part in parts.items()
            if key[0] == group
        }
        if of_group:
            rows |= of_group | {whole: list(np.mean(list(of_group.values()), axis=0))}
    return arrays, rows


def measures(id_scores: np.ndarray, ood_scores: np.ndarray) -> tuple[float, float, float, float]:
    """FPR@95, AUROC, AUPR_IN and AUPR_OUT of OpenOOD as shares, of finite scores [N] and [M]; higher = more OOD.

    FPR@95 is the share of ID images rejected at the first threshold that catches 95% of OOD, of all thresholds.
    """
    inside, outside = counts(np.asarray(id_scores, np.float64), np.asarray(ood_scores, np.float64))
    id_first = accepted(inside), accepted(outside)
    ood_first = accepted(outside[::-1]), accepted(inside[::-1])
    return fpr_at_recall(*ood_first), area(*ood_first), _trapezoid(*id_first), _trapezoid(*ood_first)


def _trapezoid(tp: np.ndarray, fp: np.ndarray) -> float:
    """Area under precision over recall by the trapezoid rule, from (0, 1) on; accepted positives and negatives [T + 1]."""
    precision = np.concatenate([[1.0], tp[1:] / (tp[1:] + fp[1:])])
    return float(np.trapezoid(precision, tp / tp[-1]))
