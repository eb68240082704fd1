"""Peak memory of prepare on many images: `python benchmarks/prepare_memory.py` writes prepare_memory.json beside itself.

The images are JPEG files in class folders, made in a temporary folder. They are read by a process of its own, so that the
peak is that of prepare alone.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 100


def make_folder(root: Path, count: int, side: int) -> None:
    """`count` JPEG files of smooth random colours, side x side pixels."""
    rng = np.random.default_rng(0)
    for name in range(CLASSES):
        (root / f"{name:03d}").mkdir(parents=True)
    for index in range(count):
        grid = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        grid.resize((side, side)).save(root / f"{index % CLASSES:03d}" / f"{index:07d}.jpg")


def prepare(folder: Path, image_size: int) -> dict[str, float]:
    """Prepare the folder; seconds, and this process's peak memory in MiB."""
    from penumbra.prepare.params import IdSource
    from penumbra.prepare.step import SECTIONS, main
    from penumbra.stage import Params, Stage

    source = {"source": "folder", "path": str(folder / "images"), "root": None, "classes": None, "val_share": 0.05, "test_share": 0.05}
    params = {"id": IdSource(**source), "near": {}, "far": {}, "calibration": {}, "world": {}, "clip_world": {}, "quarantine_limit": 0.0}
    params["shift"] = {"strengths": 8, "limit": 100, "kinds": {"blur": 0.1}, "sets": {}}
    writes = {f"images/{name}": folder / f"{name}.parquet" for name in SECTIONS} | {"images/quarantine": folder / "quarantine.csv"}
    started = time.perf_counter()
    main(Stage("prepare", None, Params({"common": {"seed": 0, "image_size": image_size}, "prepare": params}), writes=writes))
    seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 1), "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


def main() -> None:
    """Make the images, read them in a child process, write what it measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--side", type=int, default=48, help="pixels per side of the files")
    parser.add_argument("--image-size", type=int, default=32, help="pixels per side of the results")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # given: this is the child process
    args = parser.parse_args()
    if args.folder:
        print(json.dumps(prepare(args.folder, args.image_size)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_folder(Path(folder) / "images", args.images, args.side)
        command = [sys.executable, __file__, "--folder", folder, "--image-size", str(args.image_size)]
        measured = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        settings = {"images": args.images, "side": args.side, "image_size": args.image_size, "classes": CLASSES}
        args.output.write_text(json.dumps(settings | measured, indent=2) + "\n")


if __name__ == "__main__":
    main()
