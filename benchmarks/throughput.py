"""What a unit of work costs: `python benchmarks/throughput.py` makes throughput.csv of cost.csv, for `penumbra plan`.

cost.csv has the seconds of each stage of the measured run, whose parameters are those of params.yaml. A stage takes what it takes to
start, for which the quickest stage stands that calls as heavy libraries, and the rest in proportion to its work (workflow/work.py).
Work of one kind makes one row. `--cost .penumbra/cost.csv --output FILE` makes a table of the last run of the committed experiment here.
"""

import argparse
import csv
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))
os.chdir(HERE.parent)
from penumbra.artifacts.tables import read_json  # noqa: E402
from penumbra.workflow import contract, cost, work  # noqa: E402

STARTING = 0.8  # share of the quickest stage: it does something, too
HEAVY = ("diffusers", "transformers", "torch", "")  # libraries that take long to be imported, the slowest first


def main() -> None:
    """Divide what was measured by what was to be done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cost", type=Path, default=cost.PUBLISHED)
    parser.add_argument("--output", type=Path, default=cost.THROUGHPUT)
    options = parser.parse_args()
    dag = contract.load()
    units = work.Work(dag.experiment, work.images(dag.experiment))
    code = read_json(contract.CODE)
    with options.cost.open(newline="") as file:
        seconds = {row["stage"]: float(row.get("step_seconds") or row["seconds"]) for row in csv.DictReader(file)}
    heaviest: dict[str, str] = {}
    for name, entry in dag.stages.items():
        if name in seconds and entry.step != "equip":  # which calls none, and makes links
            libraries = contract.dig(code, entry.key)["libraries"]
            heaviest[name] = next(each for each in HEAVY if each in libraries)
    starts = {each: STARTING * min(seconds[name] for name, its in heaviest.items() if its == each) for each in set(heaviest.values())}
    total: dict[str, list[float]] = {}
    for name in heaviest:
        entry = dag.stages[name]
        ((kind, amount),) = units.of(entry).items()  # stages of the committed experiment are of one kind each
        row, start = total.setdefault(kind, [0.0, 0.0, 0.0, 0.0]), starts[heaviest[name]]
        row[:] = [row[0] + 1, row[1] + start, row[2] + seconds[name] - start, row[3] + amount]
    with options.output.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["kind", "fixed_seconds", "seconds_per_unit"])
        for kind, (count, start, rest, done) in total.items():
            writer.writerow([kind, f"{start / count:.2f}", f"{rest / done:.4g}" if done else "0"])
    print(options.output.read_text(), end="")


if __name__ == "__main__":
    main()
