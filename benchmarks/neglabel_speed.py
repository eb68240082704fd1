"""What NegLabel's grouped score costs on cached features: `python benchmarks/neglabel_speed.py` writes neglabel_speed.csv.

Random features of CLIP ViT-B/16's size against 10,000 negative labels in 100 groups and 1,000 ID labels, on two threads. Each
row is a process of its own, and the peak is its growth above what it holds before it scores: libraries, features and labels.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

IMAGES, NEGATIVES, CLASSES, WIDTH, GROUPS, TEMPERATURE, THREADS = (10_000, 40_000), 10_000, 1_000, 512, 100, 0.01, 2
REPEATS = 3  # the least time counts: a busy machine is slower


def measure(images: int) -> dict[str, float]:
    """Seconds to score so many images, by the clock and of all threads together, and MiB that this needs at its peak."""
    import torch

    from penumbra.labels import grouped, neglabel_log_odds

    torch.set_num_threads(THREADS)
    draws = torch.Generator().manual_seed(0)
    features, texts, negatives = (torch.randn(count, WIDTH, generator=draws) for count in (images, CLASSES, NEGATIVES))
    order = grouped(NEGATIVES, GROUPS, draws)
    neglabel_log_odds(features[:1], texts[:GROUPS], negatives[:GROUPS], order[:, :1] % GROUPS, TEMPERATURE)  # loads the kernels
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, busy = [], []
    for _ in range(REPEATS):
        started, worked = time.perf_counter(), time.process_time()
        neglabel_log_odds(features, texts, negatives, order, TEMPERATURE)
        seconds.append(time.perf_counter() - started)
        busy.append(time.process_time() - worked)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": round(min(seconds), 2), "cpu_seconds": round(min(busy), 2), "peak_mib": round(peak)}


def main() -> None:
    """Measure each number of images in a child process, write a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--images", type=int, help=argparse.SUPPRESS)  # given: this is a child process
    args = parser.parse_args()
    if args.images:
        print(json.dumps(measure(args.images)))
        return
    rows = []
    for images in IMAGES:
        command = [sys.executable, __file__, "--images", str(images)]
        environment = os.environ | {"OMP_NUM_THREADS": str(THREADS)}
        result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        sizes = {"images": images, "negatives": NEGATIVES, "classes": CLASSES, "width": WIDTH, "groups": GROUPS, "threads": THREADS}
        rows.append(sizes | json.loads(result.stdout))
    with args.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
