"""What every kind of detector has in common: a pass for each training seed, one block of work each, put together in one folder."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from penumbra import blocks
from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.files import replace
from penumbra.artifacts.outputs import IMAGES, Pass, write_keys, write_pass
from penumbra.runtime import setup
from penumbra.stage import Stage

if TYPE_CHECKING:
    import torch


def run(stage: Stage, infer_seed: "Callable[[Stage, Path, torch.device], Pass]") -> None:
    """Write data/outputs/DETECTOR: seed-K.safetensors and images.parquet.

    Args:
        stage: a stage of infer.
        infer_seed: the pass of the detector that is saved in a folder.
    """

    def write(device: "torch.device", path: Path, saved: Path) -> None:
        write_pass(path, infer_seed(stage, saved, device), stage.provenance)

    def assemble(paths: list[Path]) -> None:
        with replace(stage.write()) as directory:
            directory.mkdir()
            for path in paths:
                shutil.copyfile(path, directory / path.name)
            write_keys(directory / IMAGES, stage.read("images"), stage.provenance)

    seeds = saved_seeds(stage.read("detectors"))
    blocks.run(stage, {f"seed-{seed}.safetensors": saved for seed, saved in seeds.items()}, lambda: partial(write, setup()), assemble)
