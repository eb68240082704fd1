"""extract@clip, extract@clip-METHOD: what a CLIP model sees in the images of the experiment, and in the outliers of a method."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import torch
from torch import Tensor

from penumbra.artifacts.features import write_features
from penumbra.artifacts.images import read_table
from penumbra.errors import PenumbraError
from penumbra.extract import units
from penumbra.models.clip import Clip
from penumbra.runtime import setup
from penumbra.stage import Stage

FILES = ("train", "val", "calibration", "test", "ood", "shifted")


def _column(path: Path, name: str) -> list:
    return read_table(path, [name])[name].to_pylist()


def source_rows(source_ids: Sequence[str | None], splits: Sequence[str | None], ids: dict[str, Sequence[str]], path: Path) -> Tensor:
    """Row [N] of the image that each candidate was made from, in the file of its split; -1 for none ("" or null).

    Args:
        source_ids: of the N candidates.
        splits: train or test, of the N candidates.
        ids: split -> sample ids of its images.
        path: where the candidates lie, for messages.

    Raises:
        PenumbraError: there is no such image.
    """
    rows = {split: {sample_id: row for row, sample_id in enumerate(of_split)} for split, of_split in ids.items()}
    found = []
    for source_id, split in zip(source_ids, splits, strict=True):
        if source_id and source_id not in rows.get(split, {}):
            raise PenumbraError(
                f"{path}: source_id {source_id} of split {split} is no image of {' or '.join(f'images/{name}' for name in rows)}. "
                "Run `dvc repro` to make it again."
            )
        found.append(rows[split][source_id] if source_id else -1)
    return torch.tensor(found, dtype=torch.int64)


def of_images(stage: Stage, clip: Clip, device: torch.device) -> None:
    """Write raw features [N, D] of every file under the file's name, and `train_label` [N]."""
    files = {name: stage.read(f"images/{name}") for name in FILES}
    made = units.collect(stage, files, clip.embed_images, device)
    if made is None:
        return
    label = torch.tensor(_column(files["train"], "label"), dtype=torch.int64)
    sample_ids = [sample_id for path in files.values() for sample_id in _column(path, "sample_id")]
    write_features(stage.write(), made | {"train_label": label}, sample_ids, stage.provenance, logit_scale=clip.logit_scale)
    stage.finish()


def of_outliers(stage: Stage, clip: Clip, device: torch.device) -> None:
    """Write raw `features` [N, D] of the candidates, the row `source` [N] of each one's image, and whether that is a test image."""
    path = stage.read("outliers")
    made = units.collect(stage, {"outliers": path}, clip.embed_images, device)
    if made is None:
        return
    source_ids = _column(path, "source_id")
    splits = _column(path, "split") if "split" in pq.read_schema(path).names else ["train"] * len(source_ids)
    ids = {split: _column(stage.read(f"images/{split}"), "sample_id") for split in ("train", "test") if f"images/{split}" in stage.reads}
    tensors = {
        "features": made["outliers"],
        "source": source_rows(source_ids, splits, ids, path),
        "test": torch.tensor([split == "test" for split in splits], dtype=torch.uint8),
    }
    write_features(stage.write(), tensors, _column(path, "sample_id"), stage.provenance, logit_scale=clip.logit_scale)
    stage.finish()


def main(stage: Stage) -> None:
    """Write data/features/clip.safetensors of the images, or data/features/clip-METHOD.safetensors of a method's outliers."""
    device = setup()
    clip = Clip.load(stage.read("models/clip"), device)
    (of_images if stage.item == "clip" else of_outliers)(stage, clip, device)
