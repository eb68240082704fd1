"""What the search for neighbours, the scores of conf/ablations/scores.yaml and the metrics cost: writes scores_speed.csv beside it.

Random features and scores, one thread, CPU seconds. Rows of earlier code stay in the file; each names the commit that it was measured on.
"""

import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from penumbra.artifacts.outputs import Outputs
from penumbra.benchmark.metrics import evaluate
from penumbra.experiment.differences import expand
from penumbra.experiment.load import load
from penumbra.score.params import Score
from penumbra.scores import scores_of
from penumbra.scores.base import Bank
from penumbra.scores.knn import distances

QUERIES, BANK, WIDTH, KS, SCORES = 10_000, 50_000, 128, [50, 10, 100, 200], 1_000_000
IMAGES, FEATURES, CLASSES = 5_000, 2048, 1000  # of the scores: as a ResNet-50 on ImageNet has them
REPEATS = 3  # the least time counts: a busy machine is slower
OUTPUT = Path(__file__).with_suffix(".csv")
OVERLAY = Path(__file__).parents[1] / "conf/ablations/scores.yaml"
FIELDS = ("what", "code", "cpu_seconds")


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds of the fastest of some runs."""
    found = []
    for _ in range(REPEATS):
        started = time.process_time()
        run()
        found.append(time.process_time() - started)
    return min(found)


def of_scores() -> Iterator[tuple[str, Callable[[], object]]]:
    """What to run of each score: its fit, and its call for as many images."""
    draws = torch.Generator().manual_seed(0)
    means = torch.randn(CLASSES, FEATURES, generator=draws, dtype=torch.float64)
    labels = torch.arange(IMAGES) % CLASSES
    features = (means[labels] + torch.randn(IMAGES, FEATURES, generator=draws, dtype=torch.float64)).relu()
    weight, bias = means / FEATURES**0.5, torch.zeros(CLASSES, dtype=torch.float64)
    outputs = Outputs(features @ weight.T + bias, features)
    bank = Bank(outputs, labels, outputs, labels, outputs, weight, bias, None)
    more = expand(load(OVERLAY))["score"]["more"]
    parameters = Score(knn_k=50, knn_more=[], calibrator="beta", more=more)
    size = f"{IMAGES} images of width {FEATURES}, {CLASSES} classes"
    for name in more:
        score = scores_of(parameters, "network")[name]
        yield f"fit of {name} on {size}", lambda score=score: score.fit(bank)
        yield f"{name} of {size}", lambda score=score: score(outputs)


def main() -> None:
    """Measure all, and replace their rows."""
    torch.set_num_threads(1)
    draws = torch.Generator().manual_seed(0)
    features, bank = torch.randn(QUERIES, WIDTH, generator=draws), torch.randn(BANK, WIDTH, generator=draws)
    bank = torch.nn.functional.normalize(bank, dim=1)
    inside, outside = np.random.default_rng(0).normal([[0], [1]], 1, (2, SCORES // 2))
    runs = {
        f"{len(KS)} neighbours of {QUERIES} images among {BANK} of width {WIDTH}": lambda: distances(features, bank, KS),
        f"all metrics of {SCORES} scores": lambda: evaluate(inside, outside),
    }
    earlier = []
    if OUTPUT.exists():
        with OUTPUT.open(newline="") as file:
            earlier = [row for row in csv.DictReader(file) if row["code"] != "here"]
    measured = [*runs.items(), *of_scores()]
    rows = [{"what": what, "code": "here", "cpu_seconds": f"{seconds(run):.2f}"} for what, run in measured]
    with OUTPUT.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(earlier + rows)


if __name__ == "__main__":
    main()
