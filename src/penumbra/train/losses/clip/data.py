"""CLIP features of images of the files that a stage reads."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import iter_pixels, read_table
from penumbra.artifacts.negatives import TextFeatures
from penumbra.errors import PenumbraError
from penumbra.models.clip import Clip
from penumbra.runtime import inference_batch
from penumbra.stage import Stage
from penumbra.train.features import Features
from penumbra.train.inputs import REPAINTING, check_trainable, chosen, numbers

IMAGES, LABELS = "features/clip", "features/negatives"
BATCH = 256
Made = tuple[Tensor, Tensor]  # features [N, D] of synthetic images, and the row of images/train that each was made from [N]; -1 for none


def id_images(stage: Stage, labels: TextFeatures) -> tuple[Features, Features]:
    """ID images to train on and to watch.

    Raises:
        PenumbraError: features, images and labels do not belong together.
    """
    tensors, _ = read_features(stage.read(IMAGES))
    label = torch.tensor(read_table(stage.read("images/val"), ["label"])["label"].to_pylist())
    train, val = Features(tensors["train"], tensors["train_label"].long()), Features(tensors["val"], label)
    if len(val.values) != len(label):
        raise PenumbraError(f"{stage.read(IMAGES)}: holds {len(val.values)} rows for {len(label)} images of images/val. Run `dvc repro`.")
    if train.values.shape[1] != labels.id.shape[1] or int(train.labels.max()) >= len(labels.id):
        raise PenumbraError(f"{stage.read(LABELS)}: is not of the model and the classes of {stage.read(IMAGES)}. Run `dvc repro`.")
    return train, val


def outliers_of(stage: Stage, clip: Clip, device: torch.device) -> Made:
    """Features of all candidates, and what they were made from.

    Raises:
        PenumbraError: some were made from test images.
    """
    check_trainable(stage)
    path = stage.read(f"outliers/{chosen(stage)[0].method}")
    return _features(path, clip, device), _sources(stage, path)


def round_trips_of(stage: Stage, clip: Clip, device: torch.device) -> Made:
    """Features of what the autoencoder keeps of training images, and which these are.

    Raises:
        PenumbraError: there is none.
    """
    path = stage.read(REPAINTING)
    rows = torch.tensor([split == "train" for split in read_table(path, ["split"])["split"].to_pylist()])
    if not rows.any():
        raise PenumbraError(f"{path}: holds no round trip of a training image. Put train into synthesize.control.repainting.splits.")
    return _features(path, clip, device)[rows], _sources(stage, path, rows.tolist())


def _features(path: Path, clip: Clip, device: torch.device) -> Tensor:
    """Raw features [N, D], on the CPU, of the images of a file."""
    images = (torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255 for pixels in iter_pixels(path, inference_batch(BATCH)))
    return torch.cat([clip.embed_images(batch).cpu() for batch in images])


def _sources(stage: Stage, path: Path, wanted: Sequence[bool] | None = None) -> Tensor:
    """Row of images/train that each image was made from [N]; -1 for none."""
    ids = read_table(path, ["source_id"])["source_id"].to_pylist()
    return torch.tensor(numbers(stage, path, ids if wanted is None else [one for one, want in zip(ids, wanted, strict=True) if want]))
