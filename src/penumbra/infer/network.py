"""infer: what a network says of the images of every file."""

from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.artifacts.outputs import FILES, Outputs, Pass
from penumbra.infer.engine import run
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
        outputs[file] = Outputs(*detector.given(stage.read("images") / f"{file}.parquet"))
    last = detector.detector.last_layer.cpu()
    return Pass("network", outputs, last.weight, last.bias)
