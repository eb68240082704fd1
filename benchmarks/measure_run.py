"""Measure a clean clone: `make`, `make` again, a change of filter bounds; seconds, peak memory, overhead of each stage.

    python benchmarks/measure_run.py            # one clone
    python benchmarks/measure_run.py --twice    # two clones, whose dvc.lock must be equal

Writes benchmarks/run.csv, benchmarks/cost.csv and benchmarks/machine.json, which the report shows. Needs psutil and ruamel.yaml.
"""

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from ruamel.yaml import YAML

HERE = Path(__file__).parent
INTERVAL = 0.5  # seconds between looks at the process tree: a look costs 15 ms of a core
STEPS = ("prepare", "pretrain", "extract", "synthesize", "train", "calibrate", "filter", "score", "benchmark", "report")


@dataclass
class Watch:
    """What one command cost: peak memory of its process tree; of each stage when its first job began and its last ended, and its peak."""

    seconds: float = 0.0
    peak: int = 0
    began: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)

    def look(self, root: psutil.Process) -> None:
        now, total, running = time.time(), 0, {}
        for process in [root, *root.children(recursive=True)]:
            try:
                memory = proportional_memory(process.pid)
                stage = stage_of(process.cmdline())
            except (psutil.Error, OSError):
                continue  # it has ended
            total += memory
            if stage:
                running[stage] = running.get(stage, 0) + memory
        self.peak = max(self.peak, total)
        for stage, memory in running.items():
            self.began.setdefault(stage, now)
            self.ended[stage] = now
            self.peaks[stage] = max(self.peaks.get(stage, 0), memory)


def proportional_memory(pid: int) -> int:
    """Bytes of a process, pages that are shared divided among their users."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return 1024 * int(line.split()[1])
    return 0


def stage_of(command: list[str]) -> str | None:
    """The stage that a process is a job of: `penumbra STEP ITEM --part I/N` in Python; None for every other process."""
    places = [place for place, part in enumerate(command[:2]) if Path(part).name == "penumbra"]
    step, *rest = (command[places[0] + 1 :] if places else []) or [""]
    if step not in STEPS:
        return None
    return f"{step}@{rest[0]}" if rest and not rest[0].startswith("-") else step


def measure(command: list[str], folder: Path) -> Watch:
    """Run a command to its end.

    Raises:
        SystemExit: it failed.
    """
    print(f"$ {' '.join(command)}", flush=True)
    watch, start = Watch(), time.time()
    process = psutil.Popen(command, cwd=folder, env={key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"})
    while process.poll() is None:
        watch.look(process)
        time.sleep(INTERVAL)
    watch.seconds = time.time() - start
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed in {folder}")
    print(f"  {watch.seconds:.1f} s, {watch.peak / 2**30:.2f} GiB, {len(watch.ended)} stages", flush=True)
    return watch


def worked_seconds(folder: Path, stage: str) -> float:
    """Wall time in which at least one job of the stage was at its step's own work, as the receipts of its jobs say."""
    receipts = folder / ".penumbra/receipts"
    jobs = [json.loads(file.read_text()) for file in (receipts / f"{stage}.json", *receipts.glob(f"{stage}.*.json")) if file.exists()]
    spans = [(job["ended"] - job["seconds"], job["ended"]) for job in jobs]
    total, covered = 0.0, 0.0
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, covered))
        covered = max(covered, end)
    return total


def cost_rows(folder: Path, watch: Watch) -> list[dict]:
    """One row for each stage, in the order of their ends; what is not the step's own work is the start of its jobs."""
    rows = []
    for stage in sorted(watch.ended, key=watch.ended.__getitem__):
        seconds, own = watch.ended[stage] - watch.began[stage], worked_seconds(folder, stage)
        row = {
            "stage": stage,
            "seconds": seconds,
            "step_seconds": own,
            "overhead_seconds": seconds - own,
            "peak_gib": watch.peaks[stage] / 2**30,
        }
        rows.append({key: round(value, 2) if isinstance(value, float) else value for key, value in row.items()})
    return rows


def move_filter_bounds(folder: Path) -> None:
    """Widen the mid band of badood by 0.02 on both sides."""
    yaml, path = YAML(), folder / "params.yaml"
    params = yaml.load(path)
    section = params["filter"]["badood"]
    section["mid"] = [round(section["mid"][0] - 0.02, 4), round(section["mid"][1] + 0.02, 4)]
    with path.open("w") as file:
        yaml.dump(params, file)


def machine() -> dict:
    """What the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    return {"processor": processor, "cores": len(os.sched_getaffinity(0)), "memory": memory, "Python": platform.python_version()}


def clone_and_make(repository: Path, folder: Path) -> Watch:
    subprocess.run(["git", "clone", "--quiet", str(repository), str(folder)], check=True)
    return measure(["make"], folder)


def write(name: str, rows: list[dict]) -> None:
    with (HERE / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--twice", action="store_true", help="make a second clone and compare the hashes of all outputs")
    twice = parser.parse_args().twice
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "clone"
        watches = {"make, from a clean clone": clone_and_make(HERE.parent, folder)}
        cost = cost_rows(folder, watches["make, from a clean clone"])
        lock = YAML(typ="safe").load(folder / "dvc.lock")  # its order is that in which stages ended
        watches["make, nothing changed"] = measure(["make"], folder)
        if twice:
            other = Path(root) / "other"
            watches["make, a second clean clone"] = clone_and_make(HERE.parent, other)
            if YAML(typ="safe").load(other / "dvc.lock") != lock:
                sys.exit("two clean clones differ: compare their dvc.lock")
        move_filter_bounds(folder)
        watches["make, other filter bounds"] = measure(["make"], folder)
    rows = [
        {"what": what, "seconds": round(w.seconds, 1), "peak_gib": round(w.peak / 2**30, 2), "stages": len(w.ended)}
        for what, w in watches.items()
    ]
    write("run.csv", rows)
    write("cost.csv", cost)
    (HERE / "machine.json").write_text(json.dumps(machine(), indent=2) + "\n")


if __name__ == "__main__":
    main()
