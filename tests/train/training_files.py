"""Recipes and image files of the tests of train."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa

from penumbra.artifacts.images import ImageWriter, encode
from penumbra.stage import Stage

SIZES = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False}
COMMON = {
    **SIZES,
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 0.02,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 0.0005,
    "warmup_epochs": 1,
    "crop_padding": 2,
    "flip": True,
}
ENERGY = COMMON | {
    "loss": "energy",
    "outliers_per_id": 0.5,
    "beta": 2.0,
    "phi_hidden": 4,
    "phi_monotone": True,
    "reduction": "sum_of_means",
}
UNIFORM = COMMON | {
    "loss": "uniform",
    "beta": 0.5,
    "paired": True,
    "reconstructed": True,
    "information": "club",
    "information_weight": 1.0,
    "club_hidden": 8,
    "club_learning_rate": 0.001,
    "club_steps": 2,
}
VOS = COMMON | {
    "loss": "vos",
    "start_epoch": 1,
    "queue": 4,
    "samples": 20,
    "select": 1,
    "beta": 0.5,
    "phi_hidden": 4,
    "phi_monotone": True,
    "reduction": "mean_of_all",
}
CIDER = COMMON | {"loss": "cider", "beta": 0.5, "projection": 6, "temperature": 0.1, "momentum_of_prototypes": 0.5}
NPOS = CIDER | {
    "loss": "npos",
    "beta": 0.3,
    "dispersion": 0.5,
    "start_epoch": 1,
    "queue": 5,
    "knn_k": 2,
    "boundary": 3,
    "picked": 2,
    "samples": 7,
    "keep": 2,
    "sigma": 0.1,
    "hidden": 4,
}
MIXOE = COMMON | {"loss": "mixoe", "beta": 2.0, "mix": "mixup", "alpha": 1.0}
MCD = COMMON | {"loss": "mcd", "beta": 0.5, "start_epoch": 1, "margin": 1.2}
GODIN = COMMON | {"loss": "godin", "beta": 0.0, "similarity": "cosine"}
UDG = COMMON | {"loss": "udg", "beta": 0.5, "groups": 5, "dimensions": 8, "purity": 0.5, "auxiliary": 0.1}
RECIPES = {recipe["loss"]: recipe for recipe in (ENERGY, UNIFORM, VOS, CIDER, NPOS, MIXOE, MCD, GODIN, UDG)}
COLUMNS = {"sample_id": pa.string(), "source_id": pa.string(), "label": pa.int64(), "split": pa.string()}
CANDIDATES = 12  # of them, the first ten from the first ten ID images
TRAIN = 20


def write_images(path: Path, count: int, label: int | None = None, sources: int | None = None, splits: tuple[str, ...] = ("",)) -> Path:
    """Random images; the first `sources` of them name a training image each in source_id, the others none."""
    rng = np.random.default_rng(len(str(path.name)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with ImageWriter(path, COLUMNS, {"classes": ["a", "b"]}) as writer:
        for i in range(count):
            split, own = splits[i * len(splits) // count], sources is None or i < sources
            row = {"label": i % 2 if label is None else label, "split": split, "source_id": None}
            if split and own:
                row["source_id"] = f"{split}/{(7 * i + 1) % TRAIN:06d}"
            elif own and path.parent.name == "outliers":
                row["source_id"] = f"train/{i:06d}"
            writer.add(encode(rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)), sample_id=f"{path.stem}/{i:06d}", **row)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def train(stage: Stage) -> None:
    """Run the program of the detector's loss."""
    recipe = stage.params.train.recipes[stage.params.train.detectors[stage.item].recipe]
    import_module(f"penumbra.train.losses.{recipe.loss}.plan").main(stage)
