"""The files of images that detectors are asked about, in the real layout."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from penumbra.artifacts.images import ImageWriter, encode

COLUMNS = {"sample_id": pa.string(), "label": pa.int64(), "set": pa.string(), "group": pa.string(), "strength": pa.int64()}
GROUPS = MappingProxyType({"test": "id", "val": "id", "ood": "far", "shifted": "shift"})
CLASSES = 3


def write_image_files(folder: Path, counts: Mapping[str, int], picture: Callable[[], bytes] = lambda: b"no image") -> None:
    """FILE.parquet of so many images each, of three classes in turn; without `picture` nobody may look at their pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in counts.items():
        with ImageWriter(folder / f"{name}.parquet", COLUMNS, {}) as writer:
            for i in range(count):
                columns = {"label": i % CLASSES, "set": f"{name}-set", "group": GROUPS.get(name, name), "strength": i}
                writer.add(picture(), sample_id=f"{name}/{i:06d}", **columns)


def noise(side: int) -> Callable[[], bytes]:
    """Pictures of random pixels, each another, the same ones every time."""
    rng = np.random.default_rng(0)
    return lambda: encode(rng.integers(0, 255, (side, side, 3)).astype(np.uint8))
