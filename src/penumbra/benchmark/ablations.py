"""What each thing that GOOD, SONA and SynOOD are made of is worth, beside the papers' numbers; for experiments of conf/ablations/.

SynOOD's Tables 4 and 5 and Fig. 3 have no numbers here: its text prints none of them.
"""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from penumbra.artifacts.images import read_table
from penumbra.benchmark import evaluation, unified
from penumbra.errors import PenumbraError
from penumbra.stage import Params, Stage

NUMBERS = ("fpr95_id_tpr", "fpr95_ood_tpr", "auroc")
PAPER = ("paper_fpr95", "paper_auroc", "paper_near_auroc", "paper_far_auroc", "paper_id_acc")
GOOD = {  # (detector, score): FPR95 (ID positive) and AUROC over all its OOD sets, ID accuracy; ImageNet-100
    ("none", "energy"): (0.4868, 0.8946, 0.8764),
    ("good-image-all", "energy"): (0.3223, 0.9229, 0.8698),
    ("good-feature-all", "energy"): (0.3293, 0.9198, 0.8724),
    ("good-all", "energy"): (0.3082, 0.9281, 0.8716),
    ("good-all", "per-set"): (0.1770, 0.9628, 0.8716),
}
SONA = {  # detector: AUROC near and far; ImageNet-200
    "none": (0.8250, 0.9086),
    "sdedit-all": (0.8285, 0.9119),
    "sega-all": (0.8321, 0.9289),
    "sona-remove-all": (0.8374, 0.9342),
    "sona-nospare-all": (0.8257, 0.9389),
    "sona-unkept-all": (0.8456, 0.9421),
    "sona-oe-all": (0.8719, 0.9452),
    "sona-close-all": (0.8838, 0.9460),
    "sona-far-all": (0.8731, 0.9447),
    "sona-all": (0.8838, 0.9587),
}


def label_of(variant: str) -> tuple[str, float]:
    """(curve, value) of a label that ends in a number, such as "SONA 5" or "0.25"; (label, NaN) of any other."""
    found = re.fullmatch(r"(?:(.*) )?(\d+(?:\.\d+)?)", variant)
    return (found[1] or "", float(found[2])) if found else (variant, np.nan)


def printed(source: str, detector: str, score: str) -> dict[str, float]:
    """What the paper of that source prints of a detector; NaN where it prints nothing."""
    fpr95 = auroc = near = far = accuracy = np.nan
    if source.startswith("GOOD"):
        fpr95, auroc, accuracy = GOOD.get((detector, score), (np.nan,) * 3)
    elif source.startswith("SONA") and score == "energy":
        near, far = SONA.get(detector, (np.nan,) * 2)
    return dict(zip(PAPER, (fpr95, auroc, near, far, accuracy), strict=True))


def measured(detector: str, scores: pd.DataFrame, knn_k: int, p: Params, clip: bool) -> dict[str, dict[str, float]]:
    """Metrics of one detector by score, mean and std over seeds.

    The scores of a classifier are energy, knn and the modes of the unified score; a CLIP detector has all of `evaluation.scores_of`.

    Returns:
        score -> GROUP_METRIC_mean, GROUP_METRIC_std of near and far OOD, id_acc_mean, id_acc_std.
    """
    if clip:
        sets = evaluation.evaluate_detector(detector, scores).rename(columns={"score": "mode"})
        by_seed = sets[sets.set == sets.group]
    else:
        setting = unified.Setting(p.mode, p.a, p.bins, p.weight)
        by_seed = unified.by_seed(detector, scores, [knn_k], setting, [], curves=False)
    spread = evaluation.spread(by_seed, ["mode", "set"], list(NUMBERS))
    accuracy = evaluation.spread(evaluation.id_accuracy(detector, scores), ["detector"], ["id_acc"]).iloc[0]
    found: dict[str, dict[str, float]] = {}
    for row in spread.to_dict("records"):
        of_score = found.setdefault(row["mode"], {name: accuracy[name] for name in ("id_acc_mean", "id_acc_std")})
        of_score |= {f"{row['set']}_{name}_{moment}": row[f"{name}_{moment}"] for name in NUMBERS for moment in ("mean", "std")}
    return found


def distance(stage: Stage, detector: str) -> dict[str, float]:
    """Mean feature distance of the detector's outliers from their ID images; NaN where they have none."""
    path = stage.read("outliers") / f"{stage.params.train.detectors[detector].method}.parquet"
    if "distance_l2" in pq.read_schema(path).names:
        frame = read_table(path, ["distance_l2"]).to_pandas()
        return {"distance_mean": frame.distance_l2.mean(), "distance_std": frame.distance_l2.std()}
    return {"distance_mean": np.nan, "distance_std": np.nan}


def table(stage: Stage, scores: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row for each family, variant and score of `benchmark.ablations`.

    Raises:
        PenumbraError: a family names a score that its detector does not have.
    """
    families = dict(stage.params.benchmark.ablations.items())
    detectors = dict.fromkeys(detector for family in families.values() for detector in family.variants)
    p, k = stage.params.benchmark.unified, stage.params.score.knn_k
    numbers = {detector: measured(detector, scores[detector], k, p, evaluation.is_clip(stage, detector)) for detector in detectors}
    far = {detector: distance(stage, detector) for detector in detectors}
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
