"""infer: what a network says of the images of every file."""

from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.artifacts.outputs import FILES, Outputs, Pass
from penumbra.infer.passes import run
from penumbra.stage import Stage

if TYPE_CHECKING:
    import torch


def main(stage: Stage) -> None:
    """Write data/outputs/DETECTOR: logits, and the pooled features below them, from one pass for each image and seed."""
    run(stage, _infer_seed)


def _infer_seed(stage: Stage, directory: Path, device: "torch.device") -> Pass:
    from penumbra.models.inference import Inference  # assembling needs no torch

    detector = Inference(directory, device)
    outputs = {}
    for file in FILES:
        logits, features = detector.outputs(stage.read("images") / f"{file}.parquet")
        outputs[file] = Outputs(logits.float(), features.float())
    last = detector.detector.last_layer.cpu()
    return Pass("network", outputs, last.weight, last.bias)
