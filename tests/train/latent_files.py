"""Pictures of three kinds, two ID classes and one that is OOD, and what a small untrained encoder makes of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from penumbra.artifacts.features import write_features
from penumbra.artifacts.images import ImageWriter, encode, read_pixels
from penumbra.artifacts.tables import write_parquet
from penumbra.models.moco import MoCoEncoder

SIZES = {"image_size": 8, "patch_size": 4, "width": 16, "depth": 1, "heads": 2, "projection_hidden": 32, "projection": 12}
SIDE = 12  # of the pictures: the encoder resizes them
TRAIN, VAL, CANDIDATES = 24, 10, 12
KINDS = {"a": 0, "b": 1, "ood": 2}
RECIPE = {
    "loss": "latent",
    "width": 10,
    "depth": 2,
    "epochs": 3,
    "batch_size": 8,
    "outliers_per_id": 0.5,
    "beta": 0.5,
    "phi_hidden": 4,
    "phi_monotone": True,
    "reduction": "sum_of_means",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "warmup_epochs": 1,
}
COLUMNS = {"sample_id": pa.string(), "label": pa.int64()}


def pictures(kinds: list[int], seed: int) -> np.ndarray:
    """uint8 [N, SIDE, SIDE, 3]: a pattern for each kind, with noise."""
    patterns = np.random.default_rng(0).integers(0, 255, (3, SIDE, SIDE, 3))
    noise = np.random.default_rng(seed).normal(0, 4, (len(kinds), SIDE, SIDE, 3))
    return (patterns[kinds] + noise).clip(0, 255).astype(np.uint8)


def as_images(pixels: np.ndarray) -> Tensor:
    """[N, 3, SIDE, SIDE] in [0, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def images_of(path: Path) -> Tensor:
    """The same of a file."""
    return as_images(read_pixels(path))


def encoder() -> MoCoEncoder:
    torch.manual_seed(0)
    return MoCoEncoder(**SIZES).eval().requires_grad_(False)


def write_latent_files(data: Path) -> dict[str, Path]:
    """Everything that train of a latent detector reads, by name; candidates 0, 3, 6, ... are of the band mid."""
    moco, reads = encoder(), {}
    for name, count in {"train": TRAIN, "val": VAL}.items():
        labels = [row % 2 for row in range(count)]
        reads[f"images/{name}"] = _written(data / f"images/{name}.parquet", pictures(labels, count), labels)
    moco.save_pretrained(data / "models/encoder")
    ids = [f"train/{row:06d}" for row in range(TRAIN)]
    tensors = {"representation": moco.represent(images_of(reads["images/train"])), "label": torch.arange(TRAIN) % 2}
    write_features(data / "features/encoder.safetensors", tensors, ids, {})
    reads |= {"models/encoder": data / "models/encoder", "features/encoder": data / "features/encoder.safetensors"}

    drawn = pictures([KINDS["ood"]] * CANDIDATES, 7)
    rows = 1.5 * moco.represent(as_images(drawn)) + 0.1  # guidance leaves the sphere that standardising puts images on
    reads["outliers/badood"] = _written(data / "outliers/badood.parquet", drawn, [0] * CANDIDATES, representation=rows.tolist())
    reads["outliers/none"] = _written(data / "outliers/none.parquet", drawn[:0], [])
    every = pd.DataFrame({"sample_id": [f"badood/{row:06d}" for row in range(CANDIDATES)]})
    for name, chosen in {"badood/all": every, "badood/mid": every[::3], "none/all": every[:0]}.items():
        reads[f"selections/{name}"] = data / f"selections/{name}.parquet"
        write_parquet(reads[f"selections/{name}"], chosen, {})
    return reads


def _written(path: Path, pixels: np.ndarray, labels: list[int], **more: list) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = COLUMNS | ({"representation": pa.list_(pa.float32())} if more else {})
    with ImageWriter(path, columns, {"classes": ["a", "b"]}) as writer:
        for row, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
            own = {name: values[row] for name, values in more.items()}
            writer.add(encode(picture), sample_id=f"{path.stem}/{row:06d}", label=label, **own)
    return path
