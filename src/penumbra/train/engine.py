"""What every kind of detector has in common: a unit for each training seed, put together in one folder."""

import shutil
from collections.abc import Callable, Mapping

import pandas as pd

from penumbra.artifacts.files import replace
from penumbra.artifacts.tables import write_csv
from penumbra.stage import Stage


def run(stage: Stage, train_seeds: Callable[[Stage, Mapping[str, int]], None]) -> None:
    """Train what is left to this process; without a part, write data/detectors/DETECTOR: seed-K/{config.json, model.safetensors}
    and history.csv.

    Args:
        stage: a stage of train.
        train_seeds: writes a folder {config.json, model.safetensors, history.csv} into the scratch folder for each unit of a
            mapping from units to training seeds.
    """
    seeds = {f"seed-{seed}": seed for seed in stage.params.train.seeds}
    if todo := stage.todo(seeds):
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
