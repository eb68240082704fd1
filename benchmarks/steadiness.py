"""Write benchmarks/steadiness.csv: how much detectors of one recipe differ by their training seed. No test image is looked at.

    python benchmarks/steadiness.py             # after a run, whose images and selections it trains on; what is there is kept
    python benchmarks/steadiness.py --summary   # the table of means and spreads alone

A row a training: the recipe `energy` with other values, of one detector and training seed, with the machine's own kernels. AUROC and the
share accepted at 95% of ID (fpr95) are of the energy, calibration OOD against ID validation; by kind of calibration OOD, too.
"""

import argparse
import csv
import os
import tempfile
from pathlib import Path

import pandas as pd

FILE = Path(__file__).with_name("steadiness.csv")
RECIPES = {
    "as it is": {},
    "rate 0.05": {"learning_rate": 0.05},
    "rate 0.03": {"learning_rate": 0.03},
    "14 epochs": {"epochs": 14},
    "14 epochs, rate 0.05": {"epochs": 14, "learning_rate": 0.05},
    "decay 0.005": {"weight_decay": 0.005},
}
DETECTORS = ("none", "badood-mid")
SEEDS, MORE = 5, {("as it is", "none"): 15, ("rate 0.05", "none"): 15}  # what five seeds had seemed to say was asked again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--summary", action="store_true", help="print the table of means and spreads")
    if not parser.parse_args().summary:
        complete()
    rows = pd.read_csv(FILE)
    measures = [column for column in rows.columns if column not in ("recipe", "detector", "seed")]
    print(rows.groupby(["detector", "recipe"], sort=False)[measures].agg(["mean", "std"]).round(3).to_string())


def complete() -> None:
    """Train what is missing."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    done = set(pd.read_csv(FILE)[["recipe", "detector", "seed"]].itertuples(index=False, name=None)) if FILE.exists() else set()
    train, val, calibration = (images(Path(f"data/images/{name}.parquet")) for name in ("train", "val", "calibration"))
    for recipe, values in RECIPES.items():
        for detector in DETECTORS:
            for seed in range(MORE.get((recipe, detector), SEEDS)):
                if (recipe, detector, seed) not in done:
                    row = {"recipe": recipe, "detector": detector, "seed": seed}
                    append(row | trained(detector, seed, values, train, val, calibration))


def images(path, rows=None):
    """ID images or calibration OOD of a file as training takes them; with `rows`, those outliers of it."""
    import torch

    from penumbra.artifacts.images import read_pixels
    from penumbra.train.network.images import Images

    pixels = torch.from_numpy(read_pixels(path))
    if rows is not None:
        return Images(pixels[rows], torch.full((len(rows),), -1))
    return Images(pixels, torch.tensor(column(path, "label")))


def column(path, name):
    from penumbra.artifacts.images import read_table

    return read_table(path, [name])[name].to_pylist()


def trained(name, seed, values, train, val, calibration) -> dict[str, float]:
    """What a detector that is trained from this seed says of ID validation and calibration OOD."""
    from penumbra.train.losses.energy.loss import EnergyLoss
    from penumbra.train.network.loop import Setting, train_detector
    from penumbra.workflow import contract

    experiment = contract.load().experiment
    line = experiment.train.detectors[name]
    outliers = None
    if line.method != "none":
        candidates = Path(f"data/outliers/{line.method}.parquet")
        band = set(column(Path(f"data/selections/{line.method}/{line.bands[0]}.parquet"), "sample_id"))
        outliers = images(candidates, [row for row, sample in enumerate(column(candidates, "sample_id")) if sample in band])
    recipe = experiment.recipes[line.recipe].model_copy(update=values)
    classes = int(train.labels.max()) + 1
    setting = Setting(name, line.recipe, recipe, EnergyLoss, experiment.common.seed, train, val, classes, None)
    with tempfile.TemporaryDirectory() as folder:
        detector, _ = train_detector(setting, seed, outliers, Path(folder) / "checkpoint.pt")
    return measured(detector, val, calibration, column(Path("data/images/calibration.parquet"), "set"))


def measured(detector, val, calibration, kinds) -> dict[str, float]:
    import numpy as np
    import torch
    from sklearn.metrics import roc_auc_score

    from penumbra.logits import energy

    with torch.no_grad():
        inside, outside = (
            torch.cat([detector(pixels.permute(0, 3, 1, 2).float() / 255) for pixels in some.pixels.split(512)]).double()
            for some in (val, calibration)
        )
    scores, ood, kinds = energy(inside).numpy(), energy(outside).numpy(), np.array(kinds)

    def auroc(some) -> float:
        return roc_auc_score(np.repeat([0, 1], [len(scores), len(some)]), np.concatenate([scores, some]))

    row = {"auroc": auroc(ood), "fpr95": float((ood <= np.quantile(scores, 0.95)).mean())}
    row |= {"accuracy": (inside.argmax(1) == val.labels).double().mean().item()}
    return row | {f"auroc_{kind}": auroc(ood[kinds == kind]) for kind in sorted(set(kinds))}


def append(row: dict) -> None:
    new = not FILE.exists()
    with FILE.open("a", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()})
    print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
