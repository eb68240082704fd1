"""What every kind of detector has in common: a pass for each training seed, put together in one folder."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.files import replace
from penumbra.artifacts.outputs import IMAGES, Pass, write_keys, write_pass
from penumbra.runtime import setup
from penumbra.stage import Stage

if TYPE_CHECKING:
    import torch


def run(stage: Stage, infer_seed: "Callable[[Stage, Path, torch.device], Pass]") -> None:
    """Pass what is left to this process; without a part, write data/outputs/DETECTOR: seed-K.safetensors and images.parquet.

    Args:
        stage: a stage of infer.
        infer_seed: the pass of the detector that is saved in a folder.
    """
    seeds = saved_seeds(stage.read("detectors"))
    units = {f"seed-{seed}.safetensors": seed for seed in seeds}
    if todo := stage.todo(units):
        device = setup()
        for unit in todo:
            write_pass(stage.scratch / unit, infer_seed(stage, seeds[units[unit]], device), stage.provenance)
    if stage.part is None:
        with replace(stage.write()) as directory:
            directory.mkdir()
            for unit in units:
                shutil.copyfile(stage.scratch / unit, directory / unit)
            write_keys(directory / IMAGES, stage.read("images"), stage.provenance)
        stage.finish()
