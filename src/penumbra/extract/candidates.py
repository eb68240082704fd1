"""extract-candidates: CLIP features of the candidates of every method, for what the benchmark says of their kinds."""

import torch

from penumbra.artifacts.features import write_features
from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_table
from penumbra.extract.images import run
from penumbra.models.clip import Clip
from penumbra.runtime import setup
from penumbra.stage import Stage


def main(stage: Stage) -> None:
    """Write data/features/candidates/METHOD.safetensors: raw `features` [N, D], rows as in data/outliers/METHOD.parquet."""
    device = setup()
    clip = Clip.load(stage.read("models/clip"), device)
    files = stage.within("outliers", stage.params.synthesize)

    def write(made: dict[str, torch.Tensor]) -> None:
        with replace(stage.write()) as folder:
            folder.mkdir()
            for method, features in made.items():
                sample_ids = read_table(files[method], ["sample_id"])["sample_id"].to_pylist()
                tensors = {"features": features}
                write_features(folder / f"{method}.safetensors", tensors, sample_ids, stage.provenance, logit_scale=clip.logit_scale)

    run(stage, files, clip.embed_images, device, write)
