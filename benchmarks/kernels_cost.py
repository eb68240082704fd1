"""What portable kernels cost: `python benchmarks/kernels_cost.py` writes kernels_cost.csv, milliseconds of CPU time for a training step.

The networks are those of `penumbra.probes`, smaller than those of params.yaml. Each is trained twice in one process, and the second
time counts: the first one loads libraries. Modes are taken in turn and the least of three counts, so that a busy machine
does not favour one.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

RESULT = Path(__file__).with_suffix(".csv")
FAMILIES = ("resnet", "encoder", "rdm", "mage", "diffusion", "clip")
MODES = ("native", "portable")
REPEATS = 3
PROGRAM = """
import json, sys, time
from penumbra import kernels
kernels.use(sys.argv[1])
from penumbra.probes.training import STEPS, TRAININGS
from penumbra.runtime import setup
setup()
found = {}
for family in sys.argv[2:]:
    list(TRAININGS[family]())
    start = time.process_time()
    list(TRAININGS[family]())
    found[family] = 1000 * (time.process_time() - start) / STEPS
print(json.dumps(found))
"""


def measured(mode: str) -> dict[str, float]:
    """Milliseconds of a step of each family's networks together."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode, *FAMILIES], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def main() -> None:
    """Measure all families and write the table."""
    runs = [{mode: measured(mode) for mode in MODES} for _ in range(REPEATS)]
    with RESULT.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["family", *(f"{mode}_ms" for mode in MODES), "ratio"])
        for family in FAMILIES:
            native, portable = (min(run[mode][family] for run in runs) for mode in MODES)
            table.writerow([family, f"{native:.1f}", f"{portable:.1f}", f"{portable / native:.2f}"])


if __name__ == "__main__":
    main()
