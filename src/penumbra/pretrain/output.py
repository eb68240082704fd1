"""What every stage of pretrain leaves behind."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from safetensors.torch import load_file

from penumbra.artifacts.files import replace
from penumbra.artifacts.tensors import check_finite
from penumbra.stage import Stage
from penumbra.training import History


class Saved(Protocol):
    """A network of ours, or a model in the layout of a Hugging Face library."""

    def save_pretrained(self, directory: str | os.PathLike, provenance: dict | None = None) -> None: ...


def write_model(stage: Stage, model: Saved, history: History | None, write_samples: Callable[[Path], None] | None = None) -> None:
    """Write data/models/MODEL: the model with its provenance, history.csv unless it was imported, samples.parquet of one that draws.

    Args:
        history: of its training; None for an imported one.
        write_samples: receives the folder of the model.

    Raises:
        PenumbraError: a weight is not a number.
    """
    with replace(stage.write()) as directory:
        model.save_pretrained(directory, stage.provenance)
        for file in sorted(directory.rglob("*.safetensors")):
            check_finite(stage.write() / file.relative_to(directory), load_file(file))
        if history:
            history.write(directory / "history.csv")
        if write_samples:
            write_samples(directory)
    stage.finish()
