"""Write benchmarks/choices.csv: how well detectors tell calibration OOD from ID validation. No test image is looked at.

    penumbra configure +ablations=choices && penumbra repro $(python benchmarks/choices.py --stages)
    python benchmarks/choices.py

One row a detector of params.yaml that `infer` has asked: AUROC of the energy between calibration OOD and ID validation, and accuracy on
ID validation, mean and sample standard deviation over training seeds.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from penumbra.artifacts.outputs import IMAGES, read_keys, read_pass, saved_passes
from penumbra.logits import energy
from penumbra.workflow import contract

FILE = Path(__file__).with_name("choices.csv")


def row(detector: str) -> dict:
    """The row of a detector."""
    aurocs, accuracies = [], []
    for path in saved_passes(Path("data/outputs") / detector).values():
        outputs, keys = read_pass(path).outputs, read_keys(path.with_name(IMAGES))
        inside, outside = (energy(outputs[name].logits.double()).numpy() for name in ("val", "calibration"))
        is_ood = np.repeat([0, 1], [len(inside), len(outside)])
        aurocs.append(roc_auc_score(is_ood, np.concatenate([inside, outside])))
        accuracies.append((outputs["val"].logits.argmax(1).numpy() == keys["val"]["label"].to_numpy()).mean())
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
    dag = contract.load()
    networks = [name for name, line in dag.experiment.train.detectors.items() if dag.experiment.recipes[line.recipe].detector == "network"]
    if options.stages:
        return print(*(f"infer@{name}" for name in networks))
    table = pd.DataFrame([row(name) for name in networks if (Path("data/outputs") / name).exists()])
    table.to_csv(FILE, index=False, lineterminator="\n")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
