"""Write benchmarks/choices.csv: how well detectors tell calibration OOD from ID validation. No test image is looked at.

    penumbra configure +ablations=choices && penumbra repro $(python benchmarks/choices.py --stages)
    python benchmarks/choices.py

One row a detector of params.yaml that `infer` has asked: AUROC between calibration OOD and ID validation, of the energy or (CLIP) NegLabel,
and accuracy on ID validation, mean and sample standard deviation over training seeds.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from penumbra.artifacts.outputs import IMAGES, read_keys, read_pass, saved_passes
from penumbra.labels import neglabel_share
from penumbra.logits import energy
from penumbra.scores.base import exact
from penumbra.workflow import contract

FILE = Path(__file__).with_name("choices.csv")
SCORES = {"network": lambda outputs: energy(outputs.logits), "clip": lambda outputs: neglabel_share(outputs.log_odds)}


def row(detector: str) -> dict:
    """The row of a detector."""
    aurocs, accuracies = [], []
    for path in saved_passes(Path("data/outputs") / detector).values():
        made, keys = read_pass(path), read_keys(path.with_name(IMAGES))
        inside, outside = (SCORES[made.kind](exact(made.outputs[name], made.kind)).numpy() for name in ("val", "calibration"))
        is_ood = np.repeat([0, 1], [len(inside), len(outside)])
        aurocs.append(roc_auc_score(is_ood, np.concatenate([inside, outside])))
        accuracies.append((made.outputs["val"].logits.argmax(1).numpy() == keys["val"]["label"].to_numpy()).mean())
    measured = {"calibration_auroc": aurocs, "val_accuracy": accuracies}
    moments = {f"{name}_{moment}": f(values) for name, values in measured.items() for moment, f in (("mean", np.mean), ("std", spread))}
    return {"detector": detector} | {name: round(float(value), 4) for name, value in moments.items()}


def spread(values: list[float]) -> float:
    """Sample standard deviation."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", action="store_true", help="print the stages whose outputs are read")
    options = parser.parse_args()
    detectors = contract.load().experiment.train.detectors
    if options.stages:
        return print(*(f"infer@{name}" for name in detectors))
    table = pd.DataFrame([row(name) for name in detectors if (Path("data/outputs") / name).exists()])
    table.to_csv(FILE, index=False, lineterminator="\n")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
