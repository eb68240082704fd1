"""train: ID images and selected outliers -> a detector for each training seed."""

import shutil

import pandas as pd

from penumbra.artifacts.files import replace
from penumbra.artifacts.tables import write_csv
from penumbra.errors import PenumbraError
from penumbra.stage import Stage


def main(stage: Stage) -> None:
    """Write data/detectors/DETECTOR: seed-K/{config.json, model.safetensors} and history.csv."""
    _check_inputs(stage, stage.params.train.detectors[stage.item].bands)
    seeds = {f"seed-{seed}": seed for seed in stage.params.train.recipes.energy.seeds}
    if todo := stage.todo(seeds):
        from penumbra.train.units import train_seeds  # assembling needs no torch

        train_seeds(stage, {unit: seeds[unit] for unit in todo})
    if stage.part is None:
        _assemble(stage, list(seeds))


def _check_inputs(stage: Stage, bands: str | list[str] | None) -> None:
    """dvc.yaml gives a detector the outliers and selections that its bands need, no more and no less."""
    needed = {"outliers": bands is not None, "selections": bands not in (None, "all")}
    for kind, need in needed.items():
        if any(name.startswith(f"{kind}/") for name in stage.reads) != need:
            verb = "must" if need else "must not"
            raise PenumbraError(
                f"dvc.yaml: stage {stage.name} {verb} read data/{kind}, since train.detectors.{stage.item}.bands is {bands}."
            )


def _assemble(stage: Stage, units: list[str]) -> None:
    with replace(stage.write()) as directory:
        for unit in units:
            shutil.copytree(stage.scratch / unit, directory / unit, ignore=shutil.ignore_patterns("history.csv"))
        history = pd.concat(pd.read_csv(stage.scratch / unit / "history.csv") for unit in units)
        write_csv(directory / "history.csv", history)
    stage.finish()
