"""Made-up models in the real layout: what benchmark and report read of them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from safetensors.numpy import save_file

from penumbra.artifacts.images import ImageWriter, encode


def write_classifier(data: Path, rng: np.random.Generator, images: int = 60) -> None:
    """A last layer and the features before it, whose energies are those of guided samples or lower."""
    (data / "models/classifier").mkdir(parents=True, exist_ok=True)
    weights = {"fc.weight": rng.normal(0, 0.1, (6, 4)).astype(np.float32), "fc.bias": np.full(6, 7, np.float32)}
    save_file(weights, data / "models/classifier/model.safetensors")
    features = {"features": rng.normal(0, 3, (images, 4)).astype(np.float32), "label": np.arange(images) % 6}
    save_file(features, data / "features/classifier.safetensors")
    (data / "models/classifier/history.csv").write_text("epoch,loss,val_accuracy,steps\n1,0.5,0.9,14\n2,0.1,0.98,28\n")


def write_samples(folder: Path, captions: list[str], kinds: list[str] | None = None) -> None:
    """Samples of a pipeline that was imported: it has no history."""
    folder.mkdir(parents=True)
    columns = {"caption": pa.string()} | ({"kind": pa.string()} if kinds else {})
    with ImageWriter(folder / "samples.parquet", columns, {}) as writer:
        for i, caption in enumerate(captions):
            writer.add(encode(np.full((32, 32, 3), 7 * i, np.uint8)), caption=caption, **({"kind": kinds[i]} if kinds else {}))
