"""infer@clip, infer@clip-METHOD: what a CLIP detector says of the images of every file, from their cached CLIP features."""

from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import read_table
from penumbra.artifacts.outputs import FILES, Pass
from penumbra.errors import PenumbraError
from penumbra.infer.passes import run
from penumbra.stage import Stage

if TYPE_CHECKING:
    import torch


def main(stage: Stage) -> None:
    """Write data/outputs/DETECTOR: logits cos/tau to the ID labels, image features behind the detector's layer, cosines in MCM's prompt
    and NegLabel's log-odds. No image is read.
    """
    run(stage, _infer_seed)


def _infer_seed(stage: Stage, directory: Path, device: "torch.device") -> Pass:
    """One saved detector.

    Raises:
        PenumbraError: features do not belong to the images or to the detector, or an output is not finite.
    """
    from penumbra.models.clip_detector import ClipDetector, outputs_of  # assembling needs no torch

    detector = ClipDetector.from_pretrained(directory).to(device)
    images, _ = read_features(stage.read("features/clip"))
    outputs = {}
    for file in FILES:
        ids = read_table(stage.read("images") / f"{file}.parquet", ["sample_id"])["sample_id"].to_pylist()
        features = images[file]
        if len(ids) != len(features):
            raise PenumbraError(
                f"data/features: hold {len(features)} rows for {len(ids)} images of images/{file}. Run `dvc repro` to make them again."
            )
        outputs[file] = outputs_of(detector, features.to(device), "/".join(directory.parts[-2:]), ids)
    weight, bias = detector.last_layer()
    return Pass("clip", outputs, weight.cpu(), bias.cpu(), detector.mcm_temperature)
