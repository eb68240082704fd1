"""What every kind of detector has in common: a training for each seed, one block of work each, put together in one folder."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from penumbra import blocks
from penumbra.artifacts.files import replace
from penumbra.artifacts.tables import write_csv
from penumbra.stage import Stage

Train = Callable[[Path, int], None]  # writes a folder {config.json, model.safetensors, history.csv}: a detector of a training seed


def run(stage: Stage, trainer: Callable[[Stage], Train]) -> None:
    """Write data/detectors/DETECTOR: seed-K/{config.json, model.safetensors} and history.csv.

    Args:
        stage: a stage of train.
        trainer: loads what all seeds learn from, and returns what trains one.
    """

    def assemble(paths: list[Path]) -> None:
        with replace(stage.write()) as directory:
            for path in paths:
                shutil.copytree(path, directory / path.name, ignore=shutil.ignore_patterns("history.csv"))
            history = pd.concat(pd.read_csv(path / "history.csv") for path in paths)
            write_csv(directory / "history.csv", history)

    blocks.run(stage, {f"seed-{seed}": seed for seed in stage.params.train.seeds}, lambda: trainer(stage), assemble)
