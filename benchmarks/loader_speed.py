"""What reading images batch by batch costs the training loop: `python benchmarks/loader_speed.py` writes loader_speed.csv beside itself.

One network of the digits experiment trains on random images, a pass with each reader in turn, on one thread, many times: images a second
and CPU time by the median pass, with the ratio to pixels that lie in memory, where nothing is read.

    memory      pixels in a tensor, each batch made when the step asks for it
    stored      what train does: decoded once into a file, read batch by batch, each batch made beside the step before it
    stored, in turn   the same without the thread
    encoded     the encoded images in a mapped Arrow file, decoded whenever a batch asks, beside the step before it

Where other jobs share the machine, as they did for the table beside this file, CPU time says more than images a second.
A batch straight from Parquet would decompress as many row groups of 1,024 images as it has images.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memory_growth import write_table

CLASSES, BATCH = 6, 64
READERS = ("memory", "stored", "stored, in turn", "encoded")


def write_images(path: Path, count: int, side: int) -> None:
    """Pictures as smooth as digits are, as PNG."""
    import numpy as np
    import pyarrow as pa
    from PIL import Image

    from penumbra.artifacts.images import ImageWriter, encode

    rng = np.random.default_rng(0)
    with ImageWriter(path, {"label": pa.int64()}, {}) as writer:
        for row in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            writer.add(encode(np.asarray(coarse.resize((side, side), Image.Resampling.BILINEAR))), label=row % CLASSES)


class Encoded:
    """Decodes the images of a batch from a mapped Arrow file."""

    def __init__(self, path: Path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        mapped = path.with_suffix(".arrow")
        table = pq.read_table(path, columns=["image"])
        with pa.OSFile(str(mapped), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, 1024)
        self.images, self.path = pa.ipc.open_file(pa.memory_map(str(mapped))).read_all()["image"], path

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Any) -> Any:
        import torch

        from penumbra.artifacts.images import decode_rows

        return torch.from_numpy(decode_rows(self.path, self.images.take(rows.numpy()), rows.tolist()))


def readers(path: Path) -> dict[str, tuple[Any, bool]]:
    """Pixels by the name of their reader, and whether a batch is made beside the step before it."""
    import torch

    from penumbra.artifacts.images import read_pixels
    from penumbra.artifacts.pixels import store

    stored = store(path.with_suffix(".npy"), (path, None))
    found = (torch.from_numpy(read_pixels(path)), False), (stored, True), (stored, False), (Encoded(path), True)
    return dict(zip(READERS, found, strict=True))


def trainer(side: int) -> Callable[[Any, bool, int], None]:
    """A pass over images by the loop of `train`, from the state that the last pass has left."""
    import torch

    from penumbra.experiment.load import validate
    from penumbra.models.resnet import Detector
    from penumbra.train.losses.energy.loss import EnergyLoss
    from penumbra.train.network import loop
    from penumbra.train.network.images import Images
    from penumbra.training import ahead

    p = validate("params.yaml").train.recipes.scratch["energy"].model_copy(update={"learning_rate": 1e-4, "batch_size": BATCH})
    sizes = {key: p[key] for key in loop.BACKBONE} | ({"stem_kernel": 7, "stem_pool": True} if side > 64 else {})
    detector = Detector(**sizes, classes=CLASSES, **EnergyLoss.head(p))
    optimizer = torch.optim.SGD(detector.parameters(), p.learning_rate, p.momentum, weight_decay=p.weight_decay)
    loss = EnergyLoss(detector, p)

    def run(pixels: Any, beside: bool, epoch: int) -> None:
        images = Images(pixels, torch.arange(len(pixels)) % CLASSES)
        setting = loop.Setting("d", "energy", p, EnergyLoss, 0, images, images, CLASSES, None)
        loop.ahead = ahead if beside else iter
        loop.train_epoch(detector, loss, optimizer, setting, None, (0, 0, epoch % p.epochs))

    return run


def measured(count: int, side: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each reader."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.parquet"
        write_images(path, count, side)
        found, run = readers(path), trainer(side)
        wall, cpu = ({name: [] for name in found} for _ in range(2))
        run(found["memory"][0][: 2 * BATCH], False, 0)
        for number in range(rounds):
            for name, (pixels, beside) in found.items():
                start, used = time.perf_counter(), time.process_time()
                run(pixels, beside, number)
                wall[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - used)
    seconds, work = ({name: statistics.median(times) for name, times in taken.items()} for taken in (wall, cpu))
    return [
        {
            "side": side,
            "images": count,
            "passes": rounds,
            "reader": name,
            "images_per_second": round(count / seconds[name]),
            "of_memory": round(seconds["memory"] / seconds[name], 3),
            "cpu_ms_per_image": round(1000 * work[name] / count, 3),
            "cpu_of_memory": round(work[name] / work["memory"], 3),
        }
        for name in found
    ]


def main() -> None:
    """Measure all sizes, and write the table."""
    from penumbra import kernels

    kernels.use("portable")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs=2, default=[8192, 512], help="images of 32 and of 224 pixels a side")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    args = parser.parse_args()

    from penumbra.runtime import setup

    setup()
    rows = []
    for count, side in zip(args.counts, (32, 224), strict=True):
        rows += measured(count, side, args.rounds)
        for row in rows[-len(READERS) :]:
            print(*row.values(), sep="\t", flush=True)
    write_table(args.output, rows)


if __name__ == "__main__":
    main()
