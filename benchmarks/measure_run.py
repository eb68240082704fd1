"""Measure a clean clone: `make`, the commands that say that nothing changed, a change of filter bounds; or one other way to run all.

    python benchmarks/measure_run.py            # a clone made by `make`
    python benchmarks/measure_run.py --adopt    # its results become those to commit; else they must be those that are committed
    python benchmarks/measure_run.py --serial   # a clone made by `dvc repro`, which must give the committed hashes: one more row
    python benchmarks/measure_run.py --native   # a clone made by `make` with native kernels: one more row

Seconds, CPU seconds (user and system, of all processes), peak memory; of each stage its overhead: wall time without the step's own work.
Writes benchmarks/run.csv, benchmarks/cost.csv and benchmarks/machine.json, which the report shows; run benchmarks/throughput.py after it.
Needs psutil and ruamel.yaml.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from ruamel.yaml import YAML

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))
from penumbra.probes.machine import cpu  # noqa: E402
from penumbra.workflow.contract import parts  # noqa: E402

INTERVAL = 0.5  # seconds between looks at the process tree: a look costs 15 ms of a core
STEPS = ("prepare", "pretrain", "extract", "synthesize", "equip", "train", "calibrate", "filter", "infer", "score", "benchmark", "report")
IDLE = {  # commands after a run, which must say that nothing is left to do
    "make, nothing changed": ["make"],
    "penumbra repro --dry, nothing changed": [".venv/bin/penumbra", "repro", "--dry"],
    "dvc status, nothing changed": [".venv/bin/dvc", "status"],
    "dvc repro, nothing changed": [".venv/bin/dvc", "repro"],
    "dvc params diff": [".venv/bin/dvc", "params", "diff"],
}
MAKE = "make, from a clean clone"
SERIAL, NATIVE = "dvc repro, from a clean clone, installed", "make, from a clean clone, native kernels"


@dataclass
class Watch:
    """What one command cost: peak memory of its process tree; of each stage when its first job began and its last ended, and its peak."""

    seconds: float = 0.0
    cpu: float = 0.0
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
    """The stage, STEP or STEP ITEM, that a process is a job of: `penumbra STEP ITEM --part I/N` in Python; None for every other one."""
    places = [place for place, part in enumerate(command[:2]) if Path(part).name == "penumbra"]
    step, *rest = (command[places[0] + 1 :] if places else []) or [""]
    if step not in STEPS:
        return None
    return f"{step} {rest[0]}" if rest and not rest[0].startswith("-") else step


def measure(command: list[str], folder: Path) -> Watch:
    """Run a command to its end.

    Raises:
        SystemExit: it failed.
    """
    print(f"$ {' '.join(command)}", flush=True)
    watch, start, before = Watch(), time.time(), os.times()
    env = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
    env["PATH"] = f"{folder / '.venv/bin'}{os.pathsep}{env['PATH']}"
    process = psutil.Popen(command, cwd=folder, env=env)
    while process.poll() is None:
        watch.look(process)
        time.sleep(INTERVAL)
    after = os.times()
    watch.seconds = time.time() - start
    watch.cpu = after.children_user + after.children_system - before.children_user - before.children_system
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed in {folder}")
    print(f"  {watch.seconds:.1f} s, CPU {watch.cpu:.1f} s, {watch.peak / 2**30:.2f} GiB, {len(watch.ended)} stages", flush=True)
    return watch


def names(folder: Path) -> dict[str, str]:
    """DVC's names of stages by STEP or STEP ITEM."""
    found = {}
    for name in YAML(typ="safe").load(folder / "dvc.lock")["stages"]:
        step, _, item = parts(name)
        found[f"{step} {item}" if item else step] = name
    return found


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
    rows, called = [], names(folder)
    for stage in sorted(watch.ended, key=watch.ended.__getitem__):
        seconds, own = watch.ended[stage] - watch.began[stage], worked_seconds(folder, called[stage])
        row = {
            "stage": called[stage],
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
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    return {"processor": cpu()["model"], "cores": len(os.sched_getaffinity(0)), "memory": memory, "Python": platform.python_version()}


def clone(repository: Path, folder: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", str(repository), str(folder)], check=True)
    return folder


def clean(folder: Path) -> None:
    """The run has given what is committed.

    Raises:
        SystemExit: it has not.
    """
    if changed := subprocess.run(["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True).stdout:
        sys.exit(f"{folder}: the run differs from what is committed:\n{changed}")


def adopt(folder: Path) -> None:
    """Take over what a run leaves for git."""
    for name in ("dvc.lock", "code.json"):
        shutil.copyfile(folder / name, HERE.parent / name)
    shutil.copytree(folder / "reports", HERE.parent / "reports", dirs_exist_ok=True)


def write(name: str, rows: list[dict]) -> None:
    with (HERE / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def parallel(folder: Path, adopted: bool) -> None:
    """Measure `make` in a clean clone, and what it costs to run again."""
    watches = {MAKE: measure(["make"], folder)}
    cost = cost_rows(folder, watches[MAKE])
    if adopted:
        adopt(folder)
    else:
        clean(folder)
    watches |= {what: measure(command, folder) for what, command in IDLE.items()}
    move_filter_bounds(folder)
    watches["make, other filter bounds"] = measure(["make"], folder)
    known = {row["stage"] for row in cost}  # benchmark has nothing to do in a clone whose tables, which git has, are those of the run
    cost += [row for row in cost_rows(folder, watches["make, other filter bounds"]) if row["stage"] not in known]
    write("cost.csv", cost)
    (HERE / "machine.json").write_text(json.dumps(machine(), indent=2) + "\n")
    write("run.csv", run_rows(watches))


def native(folder: Path) -> None:
    """Measure `make` in a clean clone with native kernels."""
    measure([str(Path(sys.executable).with_name("penumbra")), "configure", "common.kernels=native"], folder)
    write("run.csv", run_rows({NATIVE: measure(["make"], folder)}))


def serial(folder: Path) -> None:
    """Measure `dvc repro` in a clean clone that has its software and no dvc.lock."""
    committed = YAML(typ="safe").load(folder / "dvc.lock")
    (folder / "dvc.lock").unlink()
    measure(["make", "setup"], folder)
    watches = {SERIAL: measure([".venv/bin/dvc", "repro"], folder)}
    write("run.csv", run_rows(watches))
    if YAML(typ="safe").load(folder / "dvc.lock") != committed:
        shutil.copyfile(folder / "dvc.lock", Path(tempfile.gettempdir()) / "dvc.lock")
        sys.exit(f"`dvc repro` gave other hashes than are committed: compare dvc.lock with {tempfile.gettempdir()}/dvc.lock")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--serial", action="store_true", help="measure `dvc repro` instead of `make`")
    what.add_argument("--native", action="store_true", help="measure `make` with native kernels")
    what.add_argument("--adopt", action="store_true", help="take over dvc.lock, code.json and reports of the clone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = clone(HERE.parent, Path(root) / "clone")
        serial(folder) if options.serial else native(folder) if options.native else parallel(folder, options.adopt)


def run_rows(watches: dict[str, Watch]) -> list[dict]:
    """The rows of run.csv: these, each with the processor that it is of, behind those of other commands and of other processors."""
    processor = machine()["processor"]
    with (HERE / "run.csv").open(newline="") as file:
        kept = [row for row in csv.DictReader(file) if row["what"] not in watches or row["processor"] != processor]
    return kept + [
        {
            "what": what,
            "seconds": round(w.seconds, 1),
            "cpu_seconds": round(w.cpu, 1),
            "peak_gib": round(w.peak / 2**30, 2),
            "stages": len(w.ended),
            "processor": processor,
        }
        for what, w in watches.items()
    ]


if __name__ == "__main__":
    main()
