"""What a stage in very many parts costs Snakemake, with jobs that do nothing: `python benchmarks/shards.py` writes shards.csv.

A clone of what is committed, with empty files where stages would have written and a `penumbra` that only touches what a stage writes.
`plan`: from the call to the plan of all jobs. `gather`: all parts are done, and the job that puts them together runs.
Seconds by the clock are those of a machine that may be busy; CPU seconds are of Snakemake and its jobs.
"""

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
from penumbra.workflow import contract, execute  # noqa: E402

STAGE = "synthesize-sona@sona"
PLANNED, GATHERED = (1, 1_000, 10_000), (1, 2_000)  # parts; one part tells what Snakemake costs in any case


def checkout(folder: Path) -> contract.Entry:
    """Clone the repository into a folder, go there, and make the files that the stage reads; return the stage."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    os.chdir(folder)
    dag = contract.load()
    stage = dag.entry(STAGE)
    for path in map(Path, dag.inputs(stage)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix else path.mkdir(exist_ok=True)
    nothing = folder / "bin/penumbra"
    nothing.parent.mkdir()
    outputs = " ".join(stage.outputs)
    nothing.write_text(f'#!/bin/sh\ncase "$*" in *--part*) ;; *) mkdir -p $(dirname {outputs}); touch {outputs} ;; esac\n')
    nothing.chmod(0o755)
    return stage


def measure(stage: contract.Entry, parts: int, *options: str, rules: list[str]) -> dict[str, float]:
    """Seconds and CPU seconds of a call of Snakemake for the stage in so many parts."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--workflow-profile", "profiles/default", "--nolock", "--quiet", "all"]
    command += ["--force", "--forcerun", execute.rule(stage), *options, "--config", f"shards={parts}", "--allowed-rules", *rules]
    environment = os.environ | {"PATH": f"{Path.cwd()}/bin:{os.environ['PATH']}"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*command, "--", stage.outputs[0]], check=True, env=environment, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"parts": parts, "seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1)}


def main() -> None:
    """Measure, and write a row for each number of parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    output = parser.parse_args().output.resolve()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        stage = checkout(Path(folder) / "clone")
        for parts in PLANNED:
            rows.append({"what": "plan", **measure(stage, parts, "--dry-run", rules=execute.rules([stage]))})
        for parts in GATHERED:
            for part in range(parts if parts > 1 else 0):
                marker = execute.PARTS / stage.label / str(part)
                marker.parent.mkdir(parents=True, exist_ok=True)
                marker.touch()
            rows.append({"what": "gather", **measure(stage, parts, rules=[execute.rule(stage)])})
        os.chdir(ROOT)
    with output.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
