"""score-control@CONTROL: scores of ID test images that a pipeline only encoded and decoded, by every detector.

A detector that tells them from the same images as they are has learnt to see the autoencoder, not OOD.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.images import read_table
from penumbra.artifacts.recipes import contents
from penumbra.artifacts.tables import write_parquet
from penumbra.logits import energy, msp
from penumbra.runtime import progress, setup
from penumbra.stage import Stage

if TYPE_CHECKING:
    import torch

COLUMNS = ("detector", "seed", "sample_id", "label", "predicted", "energy", "msp", "mcm", "neglabel")
BATCH = 256


def main(stage: Stage) -> None:
    """Write data/probes/CONTROL.parquet, a row for each detector of params.yaml, training seed and image; mcm, neglabel: of CLIP alone."""
    table = read_table(stage.read("controls"), ["sample_id", "label", "split"]).to_pandas()
    mask = (table.split == "test").to_numpy()
    images = table.loc[mask, ["sample_id", "label"]].reset_index(drop=True)
    frames = list(_frames(stage, images, mask)) if len(images) else [images]
    write_parquet(stage.write(), pd.concat(frames, ignore_index=True).reindex(columns=list(COLUMNS)), stage.provenance)


def _frames(stage: Stage, images: pd.DataFrame, mask: np.ndarray) -> Iterator[pd.DataFrame]:
    device, path, detectors = setup(), stage.read("controls"), stage.params.train.detectors
    features: dict[Path, torch.Tensor] = {}
    for name in progress(list(detectors), stage.name):
        recipe = stage.read("recipes") / detectors[name].recipe
        of_clip = "models/clip" in contents(recipe)
        if of_clip and recipe not in features:
            features[recipe] = _clip_features(recipe / "models/clip", path, mask, device)
        for seed, directory in saved_seeds(stage.read("detectors") / name).items():
            ids = images.sample_id.tolist()
            scores = _clip_scores(directory, features[recipe], ids, device) if of_clip else _network_scores(directory, path, mask, device)
            yield images.assign(detector=name, seed=seed, **scores)


def _network_scores(directory: Path, path: Path, mask: np.ndarray, device: "torch.device") -> dict[str, Any]:
    from penumbra.models.inference import Inference

    logits, _ = Inference(directory, device).outputs(path, mask)
    return _of_logits(logits)


def _clip_scores(directory: Path, features: "torch.Tensor", sample_ids: list[str], device: "torch.device") -> dict[str, Any]:
    from penumbra.labels import mcm, neglabel_share
    from penumbra.models.clip_detector import ClipDetector, outputs_of

    detector = ClipDetector.from_pretrained(directory).to(device)
    found = outputs_of(detector, features, "/".join(directory.parts[-2:]), sample_ids)
    more = {"mcm": mcm(found.concepts.double(), detector.mcm_temperature), "neglabel": neglabel_share(found.log_odds)}
    return _of_logits(found.logits.double()) | {score: values.numpy() for score, values in more.items()}


def _of_logits(logits: "torch.Tensor") -> dict[str, Any]:
    return {"predicted": logits.argmax(1).numpy(), "energy": energy(logits).numpy(), "msp": msp(logits).numpy()}


def _clip_features(model: Path, path: Path, mask: np.ndarray, device: "torch.device") -> "torch.Tensor":
    import torch

    from penumbra.artifacts.images import iter_pixels
    from penumbra.models.clip import Clip
    from penumbra.runtime import inference_batch

    clip, batches = Clip.load(model, device), iter_pixels(path, inference_batch(BATCH), mask)
    return torch.cat([clip.embed_images(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255) for pixels in batches])
