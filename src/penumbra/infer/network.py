"""infer: what a network says of the images of every file."""

from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.artifacts.outputs import FILES, Pass
from penumbra.infer.passes import run
from penumbra.stage import Stage

if TYPE_CHECKING:
    import torch


def main(stage: Stage) -> None:
    """Write data/outputs/DETECTOR, from one pass for each image and seed: logits, the pooled features below them, what further heads
    make of these, and statistics of layers where `infer` in params.yaml asks for them.
    """
    run(stage, _infer_seed)


def _infer_seed(stage: Stage, directory: Path, device: "torch.device") -> Pass:
    from penumbra.models.inference import Inference  # assembling needs no torch

    detector = Inference(directory, device)
    layers, powers = (stage.params.infer.layers, stage.params.infer.powers) if "infer" in stage.params else ((), 0)
    outputs = {file: detector.kept(stage.read("images") / f"{file}.parquet", layers, powers) for file in FILES}
    last = detector.detector.last_layer.cpu()
    return Pass("network", outputs, last.weight, last.bias)
