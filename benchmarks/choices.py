"""Write benchmarks/choices.csv: how well detectors tell calibration OOD from ID validation. No test image is looked at.

    penumbra configure +ablations=choices && penumbra repro $(python benchmarks/choices.py --stages)
    python benchmarks/choices.py

One row a score of a detector of params.yaml that `infer` has asked: AUROC between calibration OOD and ID validation, and the detector's
accuracy on ID validation, mean and sample standard deviation over training seeds. Rows of detectors that params.yaml does not have stay.
Prints the mean of each score over the networks, too. `+ablations=[choices,scores]` has every score; for the default experiment alone,
`+ablations=scores` does, and no network runs again.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

from penumbra.artifacts.outputs import IMAGES, read_keys, read_pass, saved_passes
from penumbra.score.params import Score
from penumbra.scores import scores_of
from penumbra.scores.base import Bank, exact
from penumbra.workflow import contract

FILE = Path(__file__).with_name("choices.csv")
RANKED_AS_ENERGY = "confidence"  # a monotone function of it


def rows(detector: str, parameters: Score) -> list[dict]:
    """The rows of a detector.

    Args:
        parameters: the section `score` of params.yaml.
    """
    aurocs, accuracies = defaultdict(list), []
    for path in saved_passes(Path("data/outputs") / detector).values():
        made, keys = read_pass(path), read_keys(path.with_name(IMAGES))
        outputs = {file: exact(made.outputs[file], made.kind) for file in ("train", "val", "calibration")}
        labels = {file: torch.from_numpy(keys[file]["label"].to_numpy().copy()) for file in ("train", "val")}
        seen = outputs["train"], labels["train"], outputs["val"], labels["val"], outputs["calibration"]
        bank = Bank(*seen, made.weight, made.bias, made.mcm_temperature)
        for name, score in scores_of(parameters, made.kind).items():
            if name != RANKED_AS_ENERGY:
                score.fit(bank)
                aurocs[name].append(auroc(score(outputs["val"]).numpy(), score(outputs["calibration"]).numpy()))
        accuracies.append((outputs["val"].logits.argmax(1) == labels["val"]).double().mean().item())
    accuracy = moments("val_accuracy", accuracies)
    return [{"detector": detector, "score": name} | moments("calibration_auroc", values) | accuracy for name, values in aurocs.items()]


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """Of scores of ID and of OOD images."""
    return roc_auc_score(np.repeat([0, 1], [len(inside), len(outside)]), np.concatenate([inside, outside]))


def moments(name: str, values: list[float]) -> dict[str, float]:
    """NAME_mean and NAME_std, the sample standard deviation."""
    spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return {f"{name}_mean": round(float(np.mean(values)), 4), f"{name}_std": round(float(spread), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", action="store_true", help="print the stages whose outputs are read")
    options = parser.parse_args()
    experiment = contract.load().experiment
    detectors = experiment.train.detectors
    if options.stages:
        return print(*(f"infer@{name}" for name in detectors))
    asked = [name for name in detectors if (Path("data/outputs") / name).exists()]
    table = pd.DataFrame([row for name in asked for row in rows(name, experiment.score)])
    before = pd.read_csv(FILE)
    table = pd.concat([table, before[~before.detector.isin(asked)]])
    table.to_csv(FILE, index=False, lineterminator="\n")
    print(table.to_string(index=False))
    networks = table[table.detector.isin(asked) & ~table.detector.str.startswith("clip")]
    print(networks.groupby("score").calibration_auroc_mean.agg(["mean", "min", "max"]).sort_values("mean").round(4).to_string())


if __name__ == "__main__":
    main()
