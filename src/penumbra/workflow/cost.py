"""Seconds and peak memory of each stage, from the benchmark files that Snakemake writes beside every job."""

import csv
from pathlib import Path

from penumbra.artifacts.files import replace
from penumbra.workflow import contract

BENCHMARKS = Path(".penumbra/benchmarks")
COST = Path(".penumbra/cost.csv")
PUBLISHED = Path("benchmarks/cost.csv")  # of the measured run
THROUGHPUT = Path("benchmarks/throughput.csv")  # and what a unit of work cost in it


def gather(dag: contract.Contract) -> None:
    """Update the cost of every stage that has run here; the others keep the recorded one, as after a clone."""
    costs = recorded() | {name: cost for name in dag.stages if (cost := measured(name))}
    with replace(COST) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["stage", "seconds", "memory_mib"])
        writer.writerows([name, f"{costs[name][0]:.1f}", f"{costs[name][1]:.0f}"] for name in dag.stages if name in costs)


def recorded() -> dict[str, tuple[float, float]]:
    """Seconds and peak memory in MiB by stage, of the last runs here, else of the measured run that is published."""
    found = {}
    for file, memory, unit in ((PUBLISHED, "peak_gib", 1024), (COST, "memory_mib", 1)):
        if file.exists():
            with file.open(newline="") as table:
                found |= {row["stage"]: (float(row["seconds"]), unit * float(row[memory])) for row in csv.DictReader(table)}
    return found


def measurements(stage: str) -> list[Path]:
    """Snakemake's benchmark file of each job of a stage."""
    label = contract.label(stage)
    return [file for file in (BENCHMARKS / label).parent.glob(f"{Path(label).name}.*tsv")]


def measured(stage: str) -> tuple[float, float] | None:
    """Seconds of all jobs of a stage together, and the highest peak memory of one, in MiB; None if it has not run here."""
    rows = [row for file in measurements(stage) for row in csv.DictReader(file.read_text().splitlines(), delimiter="\t")]
    if not rows:
        return None
    return sum(_number(row["s"]) for row in rows), max(_number(row["max_rss"]) for row in rows)


def _number(text: str) -> float:
    """A job too short to be sampled has no memory."""
    return float(text) if text not in ("-", "NA", "") else 0.0
