"""The units of train: a detector for each training seed, written into the stage's scratch folder."""

from collections.abc import Mapping
from typing import NamedTuple

import torch

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_pixels, read_provenance, read_table
from penumbra.errors import PenumbraError
from penumbra.noise import generator
from penumbra.runtime import setup
from penumbra.stage import Stage
from penumbra.train.loop import Images, train_detector
from penumbra.train.pool import Bands, choose


class Candidates(NamedTuple):
    """Synthesised outliers [N] and, where a detector selects among them, the band of each."""

    images: Images
    band: list[str] | None


def train_seeds(stage: Stage, seeds: Mapping[str, int]) -> None:
    """Write a folder {config.json, model.safetensors, history.csv} for each unit; `seeds` has the training seed of each."""
    device = setup(threads=1)  # parts run side by side
    recipe, bands = stage.params.train.recipes.energy, stage.params.train.detectors[stage.item].bands
    train, val = (_images(stage, name, device) for name in ("images/train", "images/val"))
    candidates = _candidates(stage, bands, device) if bands is not None else None
    classes = len(read_provenance(stage.read("images/train"))["classes"])
    for unit, seed in seeds.items():
        common_seed = stage.params.common.seed
        outliers = _select(candidates, bands, generator(common_seed, "train/pool", seed)) if candidates else None
        checkpoint = stage.scratch / f"{unit}.pt"
        detector, history = train_detector(stage.item, common_seed, seed, train, val, outliers, classes, recipe, checkpoint)
        with replace(stage.scratch / unit) as folder:
            detector.save_pretrained(folder, stage.provenance)
            history.write(folder / "history.csv")


def _images(stage: Stage, name: str, device: torch.device) -> Images:
    path = stage.read(name)
    labels = torch.tensor(read_table(path, ["label"])["label"].to_pylist())
    return Images(torch.from_numpy(read_pixels(path)).to(device), labels.to(device))


def _candidates(stage: Stage, bands: Bands, device: torch.device) -> Candidates:
    pixels = torch.from_numpy(read_pixels(stage.read("outliers"))).to(device)
    images = Images(pixels, torch.full((len(pixels),), -1, device=device))
    if bands == "all":
        return Candidates(images, None)
    sample_ids = read_table(stage.read("outliers"), ["sample_id"])["sample_id"].to_pylist()
    selection = read_table(stage.read("selections"), ["sample_id", "band"]).to_pydict()
    band = dict(zip(selection["sample_id"], selection["band"], strict=True))
    missing = [sample_id for sample_id in sample_ids if sample_id not in band]
    if missing:
        raise PenumbraError(f"{stage.read('selections')}: has no row for candidate {missing[0]}. Run `dvc repro` to make it again.")
    return Candidates(images, [band[sample_id] for sample_id in sample_ids])


def _select(candidates: Candidates, bands: Bands, draws: torch.Generator) -> Images:
    rows = torch.from_numpy(choose(bands, candidates.band, len(candidates.images), draws)).to(candidates.images.labels.device)
    return Images(candidates.images.pixels[rows], candidates.images.labels[rows])
