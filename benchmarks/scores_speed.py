"""What the search for neighbours and the metrics cost: `python benchmarks/scores_speed.py` writes scores_speed.csv.

Random features and scores, one thread, CPU seconds. Rows of earlier code stay in the file; each names the commit that it was measured on.
"""

import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from penumbra.benchmark.metrics import evaluate
from penumbra.scores.knn import distances

QUERIES, BANK, WIDTH, KS, SCORES = 10_000, 50_000, 128, [50, 10, 100, 200], 1_000_000
REPEATS = 3  # the least time counts: a busy machine is slower
OUTPUT = Path(__file__).with_suffix(".csv")
FIELDS = ("what", "code", "cpu_seconds")


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds of the fastest of some runs."""
    found = []
    for _ in range(REPEATS):
        started = time.process_time()
        run()
        found.append(time.process_time() - started)
    return min(found)


def main() -> None:
    """Measure both, and replace their rows."""
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
    rows = [{"what": what, "code": "here", "cpu_seconds": f"{seconds(run):.2f}"} for what, run in runs.items()]
    with OUTPUT.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(earlier + rows)


if __name__ == "__main__":
    main()
