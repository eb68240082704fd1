"""extract-candidates: CLIP features of the candidates of every method, for what the benchmark says of their kinds."""

import torch

from penumbra.artifacts.features import write_features
from penumbra.artifacts.files import replace
from penumbra.artifacts.images import read_table
from penumbra.extract import engine
from penumbra.models.clip import Clip
from penumbra.runtime import setup
from penumbra.stage import Stage


def main(stage: Stage) -> None:
    """Write data/features/candidates/METHOD.safetensors: raw `features` [N, D], rows as in data/outliers/METHOD.parquet."""
    device = setup()
    clip = Clip.load(stage.read("models/clip"), device)
    files = stage.within("outliers", stage.params.synthesize)
    made = engine.collect(stage, files, clip.embed_images, device)
    if made is None:
        return
    with replace(stage.write()) as folder:
        folder.mkdir()
        for method, features in made.items():
            sample_ids = read_table(files[method], ["sample_id"])["sample_id"].to_pylist()
            tensors: dict[str, torch.Tensor] = {"features": features}
            write_features(folder / f"{method}.safetensors", tensors, sample_ids, stage.provenance, logit_scale=clip.logit_scale)
    stage.finish()
