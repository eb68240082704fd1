"""Judges ask about candidates a batch at a time: what is kept of each is a number for each judge and a class.

`models.inference.Judge` keeps the logits and features of all images, which others want; here a million candidates shall fit.
"""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from penumbra.artifacts.images import decode_rows, read_table
from penumbra.errors import PenumbraError
from penumbra.models.inference import BATCH, Inference, Judge
from penumbra.runtime import inference_batch


@torch.no_grad()
def judged(judge: Judge, path: Path, score: str, column: str = "image") -> tuple[np.ndarray, np.ndarray]:
    """What `Judge.judged` says, to the bit; each image is decoded once for all judges.

    Args:
        judge: the detectors.
        path: of the candidates.
        score: energy | phi.
        column: image | twin, the images that are judged.

    Returns:
        Raw log-odds of being OOD [N, judges], float64, and the class of each candidate [N]: of the highest probability, mean over judges.

    Raises:
        PenumbraError: the file holds no image; an output is not finite (names detector, seed and image).
    """
    odds, classes, first = [], [], 0
    for batch in pq.ParquetFile(path).iter_batches(inference_batch(BATCH), columns=[column]):
        pixels = decode_rows(path, batch.column(0), range(first, first + len(batch)))
        logits = [_logits(detector, pixels, path, first) for detector in judge.detectors]
        odds.append(torch.stack([detector.log_odds(own, score) for detector, own in zip(judge.detectors, logits, strict=True)], dim=1))
        classes.append(torch.stack(logits).softmax(-1).mean(0).argmax(1))
        first += len(pixels)
    if not odds:
        raise PenumbraError(f"{path}: holds no image. Run `dvc repro` to make it again.")
    return torch.cat(odds).numpy(), torch.cat(classes).numpy()


def _logits(detector: Inference, pixels: np.ndarray, path: Path, first: int) -> Tensor:
    """Logits [B, classes] of a batch whose first image is the row `first` of the file, float64 on the CPU."""
    images = torch.from_numpy(pixels).to(detector.device).permute(0, 3, 1, 2).float() / 255
    logits, features = (output.double().cpu() for output in detector.detector.forward_with_features(images))
    finite = logits.isfinite().all(1) & features.isfinite().all(1)
    if not finite.all():
        sample_id = read_table(path, ["sample_id"])["sample_id"][first + int(finite.long().argmin())]
        raise PenumbraError(f"detector {detector.name}: output for image {sample_id} is NaN or infinite. Train with a lower learning_rate.")
    return logits
