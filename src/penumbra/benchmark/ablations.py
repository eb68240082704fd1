"""What each thing that GOOD, SONA and SynOOD are made of is worth, beside the papers' numbers; for experiments of conf/ablations/.

SynOOD's Tables 4 and 5 and Fig. 3 have no numbers here: its text prints none of them.
"""

import re

import numpy as np
import pandas as pd

from penumbra.benchmark import evaluation, papers, unified
from penumbra.benchmark.found import Found, is_clip
from penumbra.errors import PenumbraError
from penumbra.stage import Params, Stage

NUMBERS = ("fpr95_id_tpr", "fpr95_ood_tpr", "auroc")
PAPER = {  # columns -> metric and group of OOD sets, as papers.csv has them
    "paper_fpr95": ("FPR95", "average"),
    "paper_auroc": ("AUROC", "average"),
    "paper_near_auroc": ("AUROC", "near"),
    "paper_far_auroc": ("AUROC", "far"),
    "paper_id_acc": ("ID accuracy", ""),
}


def label_of(variant: str) -> tuple[str, float]:
    """(curve, value) of a label that ends in a number, such as "SONA 5" or "0.25"; (label, NaN) of any other."""
    found = re.fullmatch(r"(?:(.*) )?(\d+(?:\.\d+)?)", variant)
    return (found[1] or "", float(found[2])) if found else (variant, np.nan)


def printed(source: str, detector: str, score: str) -> dict[str, float]:
    """What the paper of that source prints of a detector, by the columns of PAPER; NaN where it prints nothing."""
    numbers = papers.numbers_beside("ablations", detector, score, papers.place(source)[0])
    return {column: numbers.get(key, np.nan) for column, key in PAPER.items()}


def measured(detector: str, scores: pd.DataFrame, clip: bool, section: Params, p: Params) -> dict[str, dict[str, float]]:
    """Metrics of one detector by score, mean and std over seeds.

    The scores of a classifier are energy, knn and the modes of the unified score; a CLIP detector has all that there are without
    `score.more`. Both have the entries of this.

    Args:
        detector: its name.
        scores: columns of data/scores/DETECTOR.parquet.
        clip: whether it is one of CLIP.
        section: `score` of params.yaml.
        p: `benchmark.unified`.

    Returns:
        score -> GROUP_METRIC_mean, GROUP_METRIC_std of near and far OOD, id_acc_mean, id_acc_std.
    """
    asked = [name for name in section.more if name in scores]
    if clip or asked:
        sets = evaluation.evaluate_detector(detector, scores, section.more).rename(columns={"score": "mode"})
        by_seed = sets[(sets.set == sets.group) & (clip | sets["mode"].isin(asked))]
    if not clip:
        setting = unified.Setting(p.mode, p.a, p.bins, p.weight)
        of_unified = unified.by_seed(detector, scores, [section.knn_k], setting, [], curves=False)
        by_seed = pd.concat([of_unified, by_seed]) if asked else of_unified
    spread = evaluation.spread(by_seed, ["mode", "set"], list(NUMBERS))
    accuracy = evaluation.spread(evaluation.id_accuracy(detector, scores), ["detector"], ["id_acc"]).iloc[0]
    found: dict[str, dict[str, float]] = {}
    for row in spread.to_dict("records"):
        of_score = found.setdefault(row["mode"], {name: accuracy[name] for name in ("id_acc_mean", "id_acc_std")})
        of_score |= {f"{row['set']}_{name}_{moment}": row[f"{name}_{moment}"] for name in NUMBERS for moment in ("mean", "std")}
    return found


def distance(outliers: pd.DataFrame | None) -> dict[str, float]:
    """Mean feature distance of some outliers from their ID images; NaN where they have none."""
    far = pd.Series(np.nan) if outliers is None else outliers.get("distance_l2", pd.Series(np.nan))
    return {"distance_mean": far.mean(), "distance_std": far.std()}


def table(stage: Stage, found: Found) -> pd.DataFrame:
    """A row for each family, variant and score of `benchmark.ablations`.

    Raises:
        PenumbraError: a family names a score that its detector does not have.
    """
    families = dict(stage.params.benchmark.ablations.items())
    detectors = dict.fromkeys(detector for family in families.values() for detector in family.variants)
    p, section = stage.params.benchmark.unified, stage.params.score
    numbers = {detector: measured(detector, found.scores[detector], is_clip(stage, detector), section, p) for detector in detectors}
    far = {detector: distance(found.outliers.get(stage.params.train.detectors[detector].method)) for detector in detectors}
    rows = []
    for name, family in families.items():
        for detector, variant in family.variants.items():
            curve, value = label_of(variant)
            for score in family.scores:
                key = {"family": name, "variant": variant, "curve": curve, "value": value, "detector": detector, "score": score}
                if score not in numbers[detector]:
                    raise PenumbraError(
                        f"params.yaml: benchmark.ablations.{name}.scores names {score}, but the detector {detector} has only "
                        f"{', '.join(numbers[detector])}. Take out the one or the other."
                    )
                rows.append(key | numbers[detector][score] | far[detector] | printed(family.source, detector, score))
    return pd.DataFrame(rows)
