"""The units of train: a detector for each training seed, written into the stage's scratch folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_pixel_rows, read_pixels, read_provenance, read_table
from penumbra.errors import PenumbraError
from penumbra.models.resnet import ResNet
from penumbra.noise import generator
from penumbra.runtime import setup
from penumbra.stage import Stage
from penumbra.train.inputs import CLASSIFIER, RECONSTRUCTION, check_trainable, chosen, selected
from penumbra.train.loop import Images, Setting, train_detector
from penumbra.train.pool import draw


def train_seeds(stage: Stage, seeds: Mapping[str, int]) -> None:
    """Write a folder {config.json, model.safetensors, history.csv} for each unit; `seeds` has the training seed of each."""
    device = setup()
    detector, recipe = chosen(stage)
    common_seed = stage.params.common.seed
    setting = Setting(
        item=stage.item,
        recipe=detector.recipe,
        p=recipe,
        common_seed=common_seed,
        train=_id_images(stage, recipe, device),
        val=_labelled(stage, "images/val", device),
        classes=len(read_provenance(stage.read("images/train"))["classes"]),
        start=ResNet.from_pretrained(stage.read(CLASSIFIER)) if CLASSIFIER in stage.reads else None,
    )
    rows, count = selected(stage)
    candidates = _candidates(stage, device) if count else None
    for unit, seed in seeds.items():
        outliers = _take(candidates, draw(rows, count, generator(common_seed, "train/pool", seed))) if candidates else None
        network, history = train_detector(setting, seed, outliers, stage.scratch / f"{unit}.pt")
        with replace(stage.scratch / unit) as folder:
            network.save_pretrained(folder, stage.provenance)
            history.write(folder / "history.csv")


def _labelled(stage: Stage, name: str, device: torch.device) -> Images:
    path = stage.read(name)
    labels = torch.tensor(read_table(path, ["label"])["label"].to_pylist())
    return Images(torch.from_numpy(read_pixels(path)).to(device), labels.to(device))


def _id_images(stage: Stage, recipe: Any, device: torch.device) -> Images:
    """ID images to train on; where the recipe says so, what the autoencoder keeps of each follows them as further ID images."""
    images = _labelled(stage, "images/train", device)
    if recipe.loss != "uniform":
        return images
    images = Images(images.pixels, images.labels, torch.arange(len(images)))
    if not recipe.reconstructed:
        return images
    path = stage.read(RECONSTRUCTION)
    rows = [row for row, split in enumerate(_column(path, "split")) if split == "train"]
    if not rows:
        raise PenumbraError(f"{path}: holds no reconstructed training image. Put train into synthesize.control.reconstruction.splits.")
    source_ids = _column(path, "source_id")
    sources = _numbers(stage, path, [source_ids[row] or "null" for row in rows])
    pixels = torch.from_numpy(read_pixel_rows(path, rows)).to(device)
    labels = images.labels[sources.to(device)]
    return Images(torch.cat([images.pixels, pixels]), torch.cat([images.labels, labels]), torch.cat([images.sources, sources]))


def _numbers(stage: Stage, path: Path, source_ids: Sequence[str | None]) -> Tensor:
    """Row of images/train that each image of the file `path` was made from [N]; -1 for one that names none.

    Raises:
        PenumbraError: a training image that does not exist is named.
    """
    number = {sample_id: row for row, sample_id in enumerate(_column(stage.read("images/train"), "sample_id"))}
    if unknown := [source_id for source_id in source_ids if source_id and source_id not in number]:
        raise PenumbraError(f"{path}: source_id {unknown[0]} is no image of images/train. Run `dvc repro` to make it again.")
    return torch.tensor([number.get(source_id, -1) for source_id in source_ids])


def _column(path: Path, column: str) -> list[str | None]:
    return read_table(path, [column])[column].to_pylist()


def _candidates(stage: Stage, device: torch.device) -> Images:
    """All candidates of the method, of which a seed takes some."""
    check_trainable(stage)
    path = stage.read(f"outliers/{chosen(stage)[0].method}")
    pixels = torch.from_numpy(read_pixels(path)).to(device)
    return Images(pixels, torch.full((len(pixels),), -1, device=device), _partners(stage, path))


def _partners(stage: Stage, path: Path) -> Tensor | None:
    """The ID image of each outlier, where the recipe pairs them."""
    detector, recipe = chosen(stage)
    if recipe.loss != "uniform" or not recipe.paired:
        return None
    sources = _numbers(stage, path, _column(path, "source_id"))
    if not (sources >= 0).any():
        raise PenumbraError(f"{path}: no outlier names its ID image in source_id. Set paired of recipe {detector.recipe} to false.")
    return sources


def _take(images: Images, rows: Tensor) -> Images:
    on_device = rows.to(images.labels.device)
    sources = None if images.sources is None else images.sources[rows]
    return Images(images.pixels[on_device], images.labels[on_device], sources)
