"""`penumbra plan` against a run: `python benchmarks/plan_check.py` runs a small experiment in a clone, and writes plan_check.csv.

The experiment is Bad-OOD on three of the six digits, with about half the epochs, one training seed and fewer images. Measured are the CPU
seconds of each stage's process, which other work on the machine changes less than seconds by the clock, but does change: `--throughput`
names a table of a run under the same conditions (benchmarks/throughput.py makes it). Needs psutil.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
SMALL = [
    "experiment=badood",
    "prepare.id.classes=['0','1','2']",
    "prepare.shift.sets.uci-0-5.classes=['0','1','2']",
    "train.seeds=[0]",
    "pretrain.encoder.moco.epochs=5",
    "pretrain.rdm.rcg.epochs=17",
    "pretrain.mage.rcg.epochs=11",
    "pretrain.mage.rcg.vqgan_epochs=6",
    "train.recipes.scratch.energy.epochs=4",
    "prepare.near.mnist-6-9.limit=700",
    "prepare.far.letters.limit=200",
    "prepare.world.glyphs.limit=800",
]
INTERVAL = 1.0  # seconds between looks


def watch(root: psutil.Process) -> dict[str, float]:
    """CPU seconds of each `penumbra STEP [ITEM]` below a process, by label, until that process has ended."""
    found: dict[str, float] = {}
    while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
        for process in root.children(recursive=True):
            try:
                command = process.cmdline()
                if len(command) > 2 and command[1].endswith("/penumbra") and command[2] not in ("repro", "run"):
                    label = "/".join(command[2:4])
                    used = process.cpu_times()
                    found[label] = max(found.get(label, 0.0), used.user + used.system)
            except psutil.Error:
                continue  # it has ended
        time.sleep(INTERVAL)
    return found


def compare(repository: Path, measured: dict[str, float], throughput: Path, output: Path) -> None:
    """Write a row for each stage that was measured, and one for all."""
    sys.path.insert(0, str(HERE.parent / "src"))
    os.chdir(repository)
    from penumbra.workflow import contract, cost, estimate

    cost.THROUGHPUT = throughput
    planned = {contract.label(each.name): each.seconds or 0.0 for each in estimate.estimates(contract.load())}
    rows = [(label, planned[label], seconds) for label, seconds in measured.items() if label in planned]
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    with output.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["stage", "planned_seconds", "measured_cpu_seconds", "ratio"])
        writer.writerows([label, f"{plan:.1f}", f"{cpu:.1f}", f"{plan / cpu:.2f}"] for label, plan, cpu in rows)
    print(output.read_text(), end="")


def main() -> None:
    """Clone, configure, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--throughput", type=Path, default=HERE / "throughput.csv")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(HERE.parent), str(clone)], check=True)
        environment = os.environ | {"PYTHONPATH": str(clone / "src")}
        subprocess.run(["penumbra", "configure", *SMALL], cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)
        run = subprocess.Popen(["penumbra", "repro"], cwd=clone, env=environment)
        measured = watch(psutil.Process(run.pid))
        if run.wait():
            sys.exit("the run failed")
        compare(clone, measured, options.throughput.resolve(), options.output.resolve())


if __name__ == "__main__":
    main()
