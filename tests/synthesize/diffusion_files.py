"""What methods of synthesize.diffusion read: a tiny pipeline and some images of two classes."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from outlier_files import outliers_of

from penumbra.artifacts.images import ImageWriter, encode
from penumbra.stage import Params, Stage
from tiny_pipeline import write_tiny_pipeline

SIZE, IMAGES = 16, 24
NAMES = ("cat", "dog")


def write_inputs(folder: Path) -> Path:
    """A pipeline of random weights, and images that are dark on the left or on the right."""
    write_tiny_pipeline(folder / "diffusion", image_size=SIZE)
    columns = {"sample_id": pa.string(), "label": pa.int64(), "caption": pa.string(), "class": pa.string()}
    rng = np.random.default_rng(0)
    with ImageWriter(folder / "train.parquet", columns, {"classes": list(NAMES)}) as writer:
        for row in range(IMAGES):
            pixels, label = rng.integers(100, 256, (SIZE, SIZE, 3)).astype(np.uint8), row % 2
            pixels[:, label * SIZE // 2 : (label + 1) * SIZE // 2] //= 4
            writer.add(encode(pixels), **{"sample_id": f"train/{row}", "label": label, "caption": NAMES[label], "class": str(label)})
    return folder


def make_stage(inputs: Path, folder: Path, method: Any) -> Stage:
    """The stage of a method that writes below `folder`."""
    reads = {"images/train": inputs / "train.parquet", "models/diffusion": inputs / "diffusion"}
    params = Params({"common": {"seed": 0, "grey": False, "image_size": SIZE}, "synthesize": {"own": method}})
    return Stage("synthesize", "own", params, {}, reads, outliers_of(folder, "own"), folder / "scratch")


def rows_of(stage: Stage) -> Any:
    """The candidates as a frame."""
    return pq.read_table(stage.write("outliers")).to_pandas()
