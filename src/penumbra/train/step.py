"""train: ID images and selected outliers -> a detector for each training seed."""

import shutil

import pandas as pd

from penumbra.artifacts.files import replace
from penumbra.artifacts.tables import write_csv
from penumbra.stage import Stage
from penumbra.train.inputs import check_inputs


def main(stage: Stage) -> None:
    """Write data/detectors/DETECTOR: seed-K/{config.json, model.safetensors} and history.csv."""
    check_inputs(stage)
    seeds = {f"seed-{seed}": seed for seed in stage.params.train.seeds}
    if todo := stage.todo(seeds):
        from penumbra.train.units import train_seeds  # assembling needs no torch

        train_seeds(stage, {unit: seeds[unit] for unit in todo})
    if stage.part is None:
        _assemble(stage, list(seeds))


def _assemble(stage: Stage, units: list[str]) -> None:
    with replace(stage.write()) as directory:
        for unit in units:
            shutil.copytree(stage.scratch / unit, directory / unit, ignore=shutil.ignore_patterns("history.csv"))
        history = pd.concat(pd.read_csv(stage.scratch / unit / "history.csv") for unit in units)
        write_csv(directory / "history.csv", history)
    stage.finish()
