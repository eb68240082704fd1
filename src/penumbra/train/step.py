"""train: ID images and selected outliers -> a detector for each training seed."""

import shutil
from typing import NamedTuple

import pandas as pd
import torch

from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_pixels, read_provenance, read_table
from penumbra.artifacts.tables import write_csv
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


def main(stage: Stage) -> None:
    """Write data/detectors/DETECTOR: seed-K/{config.json, model.safetensors} and history.csv."""
    device = setup(threads=1)
    recipe, bands = stage.params.train.recipes.energy, stage.params.train.detectors[stage.item].bands
    _check_inputs(stage, bands)
    units = {f"seed-{seed}": seed for seed in recipe.seeds}
    todo = stage.todo(units)
    if todo:
        train, val = (_images(stage, name, device) for name in ("images/train", "images/val"))
        candidates = _candidates(stage, bands, device) if bands is not None else None
        classes = len(read_provenance(stage.read("images/train"))["classes"])
    for unit in todo:
        seed, common_seed = units[unit], stage.params.common.seed
        outliers = _select(candidates, bands, generator(common_seed, "train/pool", seed)) if candidates else None
        checkpoint = stage.scratch / f"{unit}.pt"
        detector, history = train_detector(stage.item, common_seed, seed, train, val, outliers, classes, recipe, checkpoint)
        with replace(stage.scratch / unit) as folder:
            detector.save_pretrained(folder, stage.provenance)
            history.write(folder / "history.csv")
    if stage.part is None:
        _assemble(stage, list(units))


def _check_inputs(stage: Stage, bands: Bands) -> None:
    """dvc.yaml gives a detector the outliers and selections that its bands need, no more and no less."""
    needed = {"outliers": bands is not None, "selections": bands not in (None, "all")}
    for kind, need in needed.items():
        if any(name.startswith(f"{kind}/") for name in stage.reads) != need:
            verb = "must" if need else "must not"
            raise PenumbraError(
                f"dvc.yaml: stage {stage.name} {verb} read data/{kind}, since train.detectors.{stage.item}.bands is {bands}."
            )


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


def _assemble(stage: Stage, units: list[str]) -> None:
    with replace(stage.write()) as directory:
        for unit in units:
            shutil.copytree(stage.scratch / unit, directory / unit, ignore=shutil.ignore_patterns("history.csv"))
        history = pd.concat(pd.read_csv(stage.scratch / unit / "history.csv") for unit in units)
        write_csv(directory / "history.csv", history)
    stage.finish()
