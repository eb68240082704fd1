"""Write benchmarks/portability.csv: one line for each CPU that the probes have met, and whether its bytes are those of the others.

python benchmarks/portability.py                        this machine, portable and native
python benchmarks/portability.py --emulated EPYC FILE   a run of `qemu-x86_64 -cpu EPYC python -m penumbra.probes`, its output in FILE
python benchmarks/portability.py --expected             make this machine's digests those that the tests hold others to
"""

import argparse
import csv
import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from penumbra.probes import machine

RESULT = Path(__file__).with_suffix(".csv")
EXPECTED = Path(__file__).parents[1] / "tests/portable.json"
COLUMNS = (
    "date",
    "vendor",
    "model",
    "sets",
    "emulated",
    "kernels",
    "torch",
    "numpy",
    "mkl",
    "onednn",
    "libc",
    "probes",
    "digest",
    "agrees",
    "differing",
)
EMULATED = {"EPYC": "AuthenticAMD", "EPYC-Rome": "AuthenticAMD", "EPYC-Milan": "AuthenticAMD", "Dhyana": "HygonGenuine"}  # else Intel's


def probes(text: str) -> dict[str, str]:
    """Digests by probe, from the output of `python -m penumbra.probes`."""
    return {name: value for line in text.splitlines() for name, value in json.loads(line).items()}


def run(kernels: str) -> dict[str, str]:
    """The digests of this machine."""
    return probes(subprocess.run([sys.executable, "-m", "penumbra.probes", kernels], check=True, stdout=subprocess.PIPE, text=True).stdout)


def row(kernels: str, cpu: dict[str, str], emulated: bool, found: dict[str, str]) -> dict[str, object]:
    """One line of the table; probes that were not run count neither way."""
    expected = json.loads(EXPECTED.read_text())["probes"]
    differing = [name for name in found if found[name] != expected[name]]
    return (
        cpu
        | machine.libraries()
        | {
            "date": datetime.now(UTC).date().isoformat(),
            "emulated": "yes" if emulated else "no",
            "kernels": kernels,
            "probes": len(found),
            "digest": hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16],
            "agrees": "no" if differing else "yes",
            "differing": " ".join(differing),
        }
    )


def add(rows: list[dict[str, object]]) -> None:
    """Put lines into the table, each in the place of an older one of the same CPU and kernels."""
    old = list(csv.DictReader(RESULT.open())) if RESULT.exists() else []
    table = {tuple(line[key] for key in ("model", "emulated", "kernels")): line for line in [*old, *rows]}
    with RESULT.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(table.values())


def main() -> None:
    """Add what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emulated", nargs=2, metavar=("CPU", "FILE"))
    parser.add_argument("--kernels", default="portable", choices=["portable", "native"], help="of the emulated run")
    parser.add_argument("--expected", action="store_true")
    options = parser.parse_args()
    if options.emulated:
        name, file = options.emulated
        cpu = {"vendor": EMULATED.get(name, "GenuineIntel"), "model": f"qemu {name}", "sets": "avx2 fma"}
        add([row(options.kernels, cpu, True, probes(Path(file).read_text()))])
        return
    found = run("portable")
    if options.expected:
        EXPECTED.write_text(json.dumps({"libraries": machine.libraries(), "probes": found}, indent=2) + "\n")
    add([row("portable", machine.cpu(), False, found), row("native", machine.cpu(), False, run("native"))])


if __name__ == "__main__":
    main()
