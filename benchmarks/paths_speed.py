"""What a look at the images behind a path costs: `python benchmarks/paths_speed.py` writes paths_speed.csv.

Small files in 1,000 folders, made in a temporary folder (TMPDIR says where). Looked at for the first time, when all are read; with
nothing changed, by a new process, as each stage's is; after a touch of one and after an edit of one. The last column scales CPU seconds
to ImageNet's number of images. What the first look takes beside them is up to the disk, and to the images: these have a kilobyte each.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDERS, WHOLE = 1_000, 1_300_000
LOOK = """\
import resource, sys, time
from penumbra.workflow import outside
start, busy = time.perf_counter(), time.process_time()
found = outside.digests({"source": "folder", "path": sys.argv[1]})
print(time.perf_counter() - start, time.process_time() - busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, *found.values())
"""


def make(root: Path, count: int) -> None:
    """`count` files of a kilobyte in FOLDERS folders."""
    for folder in range(FOLDERS):
        place = root / f"n{folder:08d}"
        place.mkdir(parents=True)
        for index in range(folder, count, FOLDERS):
            (place / f"n{folder:08d}_{index}.JPEG").write_bytes(index.to_bytes(8, "big") * 128)


def look(work: Path, images: Path) -> tuple[float, float, float, str]:
    """Seconds, CPU seconds and peak MiB of a process that looks, and the digest that it finds."""
    done = subprocess.run([sys.executable, "-c", LOOK, str(images)], cwd=work, check=True, capture_output=True, text=True)
    seconds, cpu, peak, digest = done.stdout.split()
    return float(seconds), float(cpu), float(peak), digest


def main() -> None:
    """Make the files, look at them four times, write a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work, images = Path(folder) / "work", Path(folder) / "images"
        work.mkdir()
        make(images, options.files)
        time.sleep(3)  # longer than a file counts as just changed
        one = next(images.glob("*/*"))
        steps = {
            "first, all read": lambda: None,
            "nothing changed": lambda: None,
            "one touched": lambda: (os.utime(one), time.sleep(3)),
            "one edited": lambda: (one.write_bytes(b"x" * 1024), time.sleep(3)),
        }
        rows, before = [], None
        for name, change in steps.items():
            change()
            seconds, cpu, peak, digest = look(work, images)
            scaled = cpu * WHOLE / options.files
            rows.append([name, options.files, f"{seconds:.2f}", f"{cpu:.2f}", round(peak), digest != before, f"{scaled:.1f}"])
            before = digest
    with options.output.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["look", "files", "seconds", "cpu_seconds", "peak_mib", "other_digest", f"cpu_seconds_for_{WHOLE}"])
        writer.writerows(rows)
    print(options.output.read_text(), end="")


if __name__ == "__main__":
    main()
