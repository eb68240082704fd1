"""The units of train: a detector for each training seed, written into the stage's scratch folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import torch
from torch import Tensor

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_pixel_rows, read_pixels, read_provenance, read_table
from penumbra.errors import PenumbraError
from penumbra.models.resnet import ResNet
from penumbra.noise import generator
from penumbra.runtime import setup
from penumbra.stage import Params, Stage
from penumbra.train.inputs import CLASSIFIER, RECONSTRUCTION, outliers_name
from penumbra.train.loop import Images, Setting, train_detector
from penumbra.train.pool import Bands, choose


class Candidates(NamedTuple):
    """Synthesised outliers [N] and, where a detector selects among them, the band of each."""

    images: Images
    band: list[str] | None


def train_seeds(stage: Stage, seeds: Mapping[str, int]) -> None:
    """Write a folder {config.json, model.safetensors, history.csv} for each unit; `seeds` has the training seed of each."""
    device = setup()
    chosen = stage.params.train.detectors[stage.item]
    recipe, common_seed = stage.params.train.recipes[chosen.recipe], stage.params.common.seed
    setting = Setting(
        item=stage.item,
        recipe=chosen.recipe,
        p=recipe,
        common_seed=common_seed,
        train=_id_images(stage, recipe, device),
        val=_labelled(stage, "images/val", device),
        classes=len(read_provenance(stage.read("images/train"))["classes"]),
        start=ResNet.from_pretrained(stage.read(CLASSIFIER)) if recipe.start == "classifier" else None,
    )
    candidates = _candidates(stage, chosen.bands, chosen.recipe, device) if chosen.bands is not None else None
    for unit, seed in seeds.items():
        outliers = _select(candidates, chosen.bands, generator(common_seed, "train/pool", seed)) if candidates else None
        detector, history = train_detector(setting, seed, outliers, stage.scratch / f"{unit}.pt")
        with replace(stage.scratch / unit) as folder:
            detector.save_pretrained(folder, stage.provenance)
            history.write(folder / "history.csv")


def _labelled(stage: Stage, name: str, device: torch.device) -> Images:
    path = stage.read(name)
    labels = torch.tensor(read_table(path, ["label"])["label"].to_pylist())
    return Images(torch.from_numpy(read_pixels(path)).to(device), labels.to(device))


def _id_images(stage: Stage, recipe: Params, device: torch.device) -> Images:
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
        raise PenumbraError(f"{path}: holds no reconstructed training image. Put train into synthesize.reconstruction.splits.")
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


def _candidates(stage: Stage, bands: Bands, recipe: str, device: torch.device) -> Candidates:
    name = outliers_name(stage)
    path = stage.read(name)
    if "split" in pq.read_schema(path).names and "test" in _column(path, "split"):
        method = name.removeprefix("outliers/")
        raise PenumbraError(
            f"{path}: holds edited test images, on which no detector may train. Take test out of synthesize.{method}.splits."
        )
    pixels = torch.from_numpy(read_pixels(path)).to(device)
    images = Images(pixels, torch.full((len(pixels),), -1, device=device), _partners(stage, path, recipe))
    if bands == "all":
        return Candidates(images, None)
    selection = read_table(stage.read("selections"), ["sample_id", "band"]).to_pydict()
    band = dict(zip(selection["sample_id"], selection["band"], strict=True))
    sample_ids = _column(path, "sample_id")
    missing = [sample_id for sample_id in sample_ids if sample_id not in band]
    if missing:
        raise PenumbraError(f"{stage.read('selections')}: has no row for candidate {missing[0]}. Run `dvc repro` to make it again.")
    return Candidates(images, [band[sample_id] for sample_id in sample_ids])


def _partners(stage: Stage, path: Path, recipe: str) -> Tensor | None:
    """The ID image of each outlier, where the recipe pairs them."""
    p = stage.params.train.recipes[recipe]
    if p.loss != "uniform" or not p.paired:
        return None
    sources = _numbers(stage, path, _column(path, "source_id"))
    if not (sources >= 0).any():
        raise PenumbraError(f"{path}: no outlier names its ID image in source_id. Set train.recipes.{recipe}.paired to false.")
    return sources


def _select(candidates: Candidates, bands: Bands, draws: torch.Generator) -> Images:
    images = candidates.images
    rows = torch.from_numpy(choose(bands, candidates.band, len(images), draws))
    on_device = rows.to(images.labels.device)
    sources = None if images.sources is None else images.sources[rows]
    return Images(images.pixels[on_device], images.labels[on_device], sources)
