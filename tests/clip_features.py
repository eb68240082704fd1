"""Small random files of cached CLIP features, of the real layout: three ID classes, 17 negative labels, 8 dimensions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from image_files import CLASSES, write_image_files
from penumbra.artifacts.features import write_features
from penumbra.artifacts.images import ImageWriter, encode
from penumbra.artifacts.negatives import Negative, TextFeatures, write_negatives
from penumbra.artifacts.tables import write_parquet

WIDTH, LOGIT_SCALE = 8, 20.0
WORDS = [f"word-{letter}" for letter in "qwertyuiopasdfghj"]
COUNTS = {"train": 30, "val": 9, "calibration": 10, "test": 12, "ood": 7, "shifted": 5}
OUTLIERS = 14  # two of each of the first seven training images
MADE_COLUMNS = {"sample_id": pa.string(), "source_id": pa.string(), "label": pa.int64(), "split": pa.string()}
OUTLIER, TRAIN, TEST = 0, 1, 2  # what an image shows: a row of which features
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


def _drawn() -> dict[str, Tensor]:
    """Features of every file of images, and of outliers."""
    labels, draws, tensors = label_features(), torch.Generator().manual_seed(1), {}
    for name, count in COUNTS.items():
        texts = labels.negative if name in ("calibration", "ood") else labels.id
        tensors[name] = near(texts, torch.arange(count) % CLASSES, draws)
    return tensors | {"outliers": near(labels.negative, torch.arange(OUTLIERS) % 5, draws)}


def made_features() -> dict[int, Tensor]:
    """The features of every image that `FakeClip` can see, by what it shows."""
    tensors = _drawn()
    return {OUTLIER: tensors["outliers"], TRAIN: tensors["train"], TEST: tensors["test"]}


class FakeClip:
    """A model that sees in an image the number of a row, and returns the row."""

    def __init__(self, rows: dict[int, Tensor]):
        self.rows = rows
        self.seen = 0

    def embed_images(self, images: Tensor) -> Tensor:
        """Raw features [B, D] of images [B, 3, H, W]."""
        self.seen += len(images)
        kind, row, _ = (images[:, :, 0, 0] * 255).round().long().T.tolist()
        return torch.stack([self.rows[a][b] for a, b in zip(kind, row, strict=True)])


def picture(kind: int, row: int) -> bytes:
    """An image that shows a row."""
    return encode(np.broadcast_to(np.array([kind, row, 0], np.uint8), (4, 4, 3)).copy())


def write_clip_features(data: Path) -> dict[str, Path]:
    """Everything that train and score of a CLIP detector of the method synood read, by name of the read.

    Of the outliers two were made from each of the first seven training images; those of even rows are of the band mid.
    """
    labels, drawn = label_features(), _drawn()
    tensors = {name: drawn[name] for name in COUNTS}
    write_image_files(data / "images", COUNTS)
    reads = {f"images/{name}": data / f"images/{name}.parquet" for name in COUNTS}
    tensors["train_label"] = torch.arange(COUNTS["train"]) % CLASSES
    reads["features/clip"] = _write(data / "features/clip.safetensors", tensors, [])
    write_negatives(data / "features/negatives.safetensors", labels, {})
    reads["features/negatives"] = data / "features/negatives.safetensors"
    reads["models/clip"] = data / "models/clip"
    outliers = [(OUTLIER, row, f"train/{row // 2:06d}", "train") for row in range(OUTLIERS)]
    reads["outliers/synood"] = write_made(data / "outliers/synood.parquet", outliers)
    ids = [f"synood/{row}" for row in range(OUTLIERS)]
    for band, chosen in {"all": ids, "mid": ids[::2]}.items():
        reads[f"selections/synood/{band}"] = data / f"selections/synood/{band}.parquet"
        write_parquet(reads[f"selections/synood/{band}"], pd.DataFrame({"sample_id": chosen}), {})
    reads["outliers/none"] = write_made(data / "outliers/none.parquet", [])
    reads["selections/none/all"] = data / "selections/none/all.parquet"
    write_parquet(reads["selections/none/all"], pd.DataFrame({"sample_id": pd.Series([], dtype=str)}), {})

    total = COUNTS["train"] + COUNTS["test"]  # a perfect autoencoder; training and test images in turns, as long as there are both
    order = sorted(range(total), key=lambda row: (row % COUNTS["train"], row))
    shown = [("train", TRAIN, row) if row < COUNTS["train"] else ("test", TEST, row - COUNTS["train"]) for row in order]
    rows = [(kind, row, f"{split}/{row:06d}", split) for split, kind, row in shown]
    reads["controls/repainting"] = write_made(data / "controls/repainting.parquet", rows)
    return reads


def write_made(path: Path, rows: list[tuple[int, int, str | None, str]]) -> Path:
    """Images (what each shows, its row, source_id, split) that were made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with ImageWriter(path, MADE_COLUMNS, {}) as writer:
        for index, (kind, row, source_id, split) in enumerate(rows):
            columns = {"source_id": source_id, "label": row % CLASSES, "split": split}
            writer.add(picture(kind, row), sample_id=f"{path.stem}/{index}", **columns)
    return path


def _write(path: Path, tensors: dict[str, Tensor], sample_ids: list[str]) -> Path:
    write_features(path, tensors, sample_ids, {})
    return path
