"""Small random files of cached CLIP features, of the real layout: three ID classes, 17 negative labels, 8 dimensions."""

from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor

from penumbra.artifacts.features import write_features
from penumbra.artifacts.images import ImageWriter
from penumbra.artifacts.negatives import Negative, TextFeatures, write_negatives

CLASSES, WIDTH, LOGIT_SCALE = 3, 8, 20.0
WORDS = [f"word-{letter}" for letter in "qwertyuiopasdfghj"]
COUNTS = {"train": 30, "val": 9, "calibration": 10, "test": 12, "ood": 7, "shifted": 5}
GROUPS = {"test": "id", "val": "id", "ood": "far", "shifted": "shift"}
OUTLIERS = 14  # two of each of the first seven training images
COLUMNS = {"sample_id": pa.string(), "label": pa.int64(), "set": pa.string(), "group": pa.string(), "strength": pa.int64()}
CONTROL_COLUMNS = {"sample_id": pa.string(), "label": pa.int64(), "split": pa.string()}
RECIPE = {
    "loss": "clip",
    "project": True,
    "tune": True,
    "strategy": "separate",
    "residual": True,
    "classes": "all",
    "orientation": "image",
    "outliers": None,
    "control": False,
    "batch_size": 8,
    "project_epochs": 3,
    "project_learning_rate": 0.01,
    "project_learning_rate_end": 0.0001,
    "project_weight_decay": 0.0,
    "tune_epochs": 2,
    "tune_learning_rate": 0.5,
    "tune_momentum": 0.9,
    "tune_weight_decay": 0.0,
    "groups": 4,
    "temperature": None,
    "mcm_temperature": 1.0,
}
ZERO_SHOT = RECIPE | {"project": False, "tune": False}


def label_features(seed: int = 0) -> TextFeatures:
    """Random texts of lengths other than 1."""
    draws = torch.Generator().manual_seed(seed)
    texts, mcm, negative = (3 * torch.randn(count, WIDTH, generator=draws) for count in (CLASSES, CLASSES, len(WORDS)))
    negatives = [Negative(word, f"the nice {word}", "noun", 0.1) for word in WORDS]
    return TextFeatures(texts, mcm, negative, LOGIT_SCALE, ["a", "b", "c"], negatives)


def near(texts: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
    """Raw features of images of some labels: theirs with noise."""
    return texts[labels] + 2 * torch.randn(len(labels), texts.shape[1], generator=draws)


def write_clip_features(data: Path, test_outliers: int = 0) -> dict[str, Path]:
    """Everything that train@clip-synood and score@clip-synood read, by name of the read."""
    labels, draws, tensors = label_features(), torch.Generator().manual_seed(1), {}
    for name, count in COUNTS.items():
        label = torch.arange(count) % CLASSES
        tensors[name] = near(labels.negative if name in ("calibration", "ood") else labels.id, label, draws)
        _write_images(data / f"images/{name}.parquet", name, count)
    reads = {f"images/{name}": data / f"images/{name}.parquet" for name in COUNTS}
    tensors["train_label"] = torch.arange(COUNTS["train"]) % CLASSES
    reads["features/clip"] = _write(data / "features/clip.safetensors", tensors, [])
    write_negatives(data / "features/negatives.safetensors", labels, {})
    reads["features/negatives"] = data / "features/negatives.safetensors"

    outliers = near(labels.negative, torch.arange(OUTLIERS) % 5, draws)
    test = (torch.arange(OUTLIERS) < test_outliers).to(torch.uint8)
    content = {"features": outliers, "source": torch.arange(OUTLIERS) // 2, "test": test}
    reads["features/clip-synood"] = _write(data / "features/clip-synood.safetensors", content, [f"synood/{i}" for i in range(OUTLIERS)])

    total = COUNTS["train"] + COUNTS["test"]  # a perfect autoencoder; training and test images in turns, as long as there are both
    order = sorted(range(total), key=lambda row: (row % COUNTS["train"], row))
    rows = torch.tensor(order)
    content = {
        "features": torch.cat([tensors["train"], tensors["test"]])[rows],
        "source": rows % COUNTS["train"],
        "test": (rows >= COUNTS["train"]).to(torch.uint8),
    }
    ids = [f"control/{row}" for row in order]
    reads["features/clip-control"] = _write(data / "features/clip-control.safetensors", content, ids)
    reads["outliers/control"] = data / "outliers/control.parquet"
    reads["outliers/control"].parent.mkdir(exist_ok=True)
    with ImageWriter(reads["outliers/control"], CONTROL_COLUMNS, {}) as writer:
        for row, sample_id in zip(order, ids, strict=True):
            split = "test" if row >= COUNTS["train"] else "train"
            writer.add(b"", sample_id=sample_id, label=row % COUNTS["train"] % CLASSES, split=split)
    return reads


def _write(path: Path, tensors: dict[str, Tensor], sample_ids: list[str]) -> Path:
    write_features(path, tensors, sample_ids, {})
    return path


def _write_images(path: Path, name: str, count: int) -> None:
    """Rows whose pixels nobody may look at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ImageWriter(path, COLUMNS, {}) as writer:
        for i in range(count):
            columns = {"label": i % CLASSES, "set": f"{name}-set", "group": GROUPS.get(name, name), "strength": i}
            writer.add(b"no image", sample_id=f"{name}/{i:06d}", **columns)
