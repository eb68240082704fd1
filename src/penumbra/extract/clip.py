"""extract-clip: what a CLIP model sees in the images of the experiment."""

from pathlib import Path

import torch

from penumbra.artifacts.features import write_features
from penumbra.artifacts.images import read_table
from penumbra.extract.images import run
from penumbra.models.clip import Clip
from penumbra.runtime import setup
from penumbra.stage import Stage

FILES = ("train", "val", "calibration", "test", "ood", "shifted")


def _column(path: Path, name: str) -> list:
    return read_table(path, [name])[name].to_pylist()


def main(stage: Stage) -> None:
    """Write data/features/clip.safetensors: raw features [N, D] of every file under the file's name, and `train_label` [N]."""
    device = setup()
    clip = Clip.load(stage.read("models/clip"), device)
    files = {name: stage.read(f"images/{name}") for name in FILES}

    def write(made: dict[str, torch.Tensor]) -> None:
        label = torch.tensor(_column(files["train"], "label"), dtype=torch.int64)
        sample_ids = [sample_id for path in files.values() for sample_id in _column(path, "sample_id")]
        write_features(stage.write(), made | {"train_label": label}, sample_ids, stage.provenance, logit_scale=clip.logit_scale)

    run(stage, files, clip.embed_images, device, write)
