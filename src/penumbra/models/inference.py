"""Saved detectors at work: logits and features of image files, one forward pass for each image."""

import copy
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.images import iter_pixels, read_table
from penumbra.artifacts.outputs import Outputs
from penumbra.errors import PenumbraError
from penumbra.logits import energy
from penumbra.models.classifiers.detector import load_detector
from penumbra.models.heads import beside
from penumbra.models.layers import Layers, passed
from penumbra.runtime import inference_batch

BATCH = 512


class Inference:
    """A detector that is only asked.

    Args:
        directory: where it is saved, data/detectors/DETECTOR/seed-K.
        device: where to compute.
    """

    def __init__(self, directory: str | os.PathLike, device: torch.device):
        self.directory = Path(directory)
        self.name = "/".join(self.directory.parts[-2:])
        self.device = device
        self.detector = load_detector(directory).to(device)

    def outputs(self, path: str | os.PathLike, rows: np.ndarray | None = None) -> tuple[Tensor, Tensor]:
        """Logits [N, classes] and features [N, D], float64 on the CPU, of the images of a Parquet file, in its order.

        Args:
            path: an images or outliers file.
            rows: mask of the images that are wanted; None: all.

        Raises:
            PenumbraError: the file holds no image; an output is not finite (names detector, seed and image).
        """
        found = self._passed(path, rows, (), 0)
        return found["logits"].double(), found["features"].double()

    def kept(self, path: str | os.PathLike, layers: Layers = (), powers: int = 0) -> Outputs:
        """What `infer` keeps of the images of a file; raises as `outputs` does.

        Args:
            layers, powers: whose statistics; see `models.layers.passed`.
        """
        found = self._passed(path, None, layers, powers)
        logits, features = found.pop("logits"), found.pop("features")
        with torch.no_grad():
            heads = beside(self.directory, self.detector.last_layer.weight)
            made = {name: head(features.to(self.device)).cpu() for name, head in heads.items()}
        return Outputs(logits, features, beside=made | found)

    @torch.no_grad()
    def _passed(self, path: str | os.PathLike, rows: np.ndarray | None, layers: Layers, powers: int) -> dict[str, Tensor]:
        """Logits, features and statistics by name, as the network gives them, on the CPU."""
        parts: dict[str, list[Tensor]] = {}
        for pixels in iter_pixels(path, inference_batch(BATCH), rows):
            images = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float() / 255
            found = passed(self.detector, images, layers, powers)
            for name, output in {"logits": found.logits, "features": found.features, **found.statistics}.items():
                parts.setdefault(name, []).append(output.cpu())
        if not parts:
            raise PenumbraError(f"{path}: holds no image. Run `dvc repro` to make it again.")
        whole = {name: torch.cat(parts.pop(name)) for name in list(parts)}  # nobody wants both
        self._check_finite(path, rows, whole["logits"], whole["features"])
        return whole

    def _check_finite(self, path: str | os.PathLike, rows: np.ndarray | None, logits: Tensor, features: Tensor) -> None:
        finite = logits.isfinite().all(1) & features.isfinite().all(1)
        if not finite.all():
            ids = read_table(path, ["sample_id"])["sample_id"].to_numpy(zero_copy_only=False)
            first = (ids if rows is None else ids[rows])[int(finite.long().argmin())]
            count = f"{int((~finite).sum())} of {len(finite)} images"
            raise PenumbraError(
                f"detector {self.name}: output for image {first} is NaN or infinite ({count}). Train with a lower learning_rate."
            )

    @torch.no_grad()
    def log_odds(self, logits: Tensor, score: str) -> Tensor:
        """Raw log-odds of being OOD [N] of logits [N, classes], float64.

        Args:
            logits: from `outputs`.
            score: energy (Bad-OOD eq. 6: S = sigmoid(E)) | phi (eq. 4: S = sigmoid(phi(E))).

        Raises:
            PenumbraError: the detector was trained without the head phi.
        """
        if score == "energy":
            return energy(logits)
        if self.detector.phi is None:
            raise PenumbraError(f"detector {self.name}: was trained without the head phi. Set calibrate.DETECTOR.score to energy.")
        return copy.deepcopy(self.detector.phi).cpu().double()(energy(logits))


class Judge:
    """A detector as it judges candidates: that of its first training seed, or the mean over all, which callers take.

    Detectors that differ in their seed alone call hardly the same candidates mid; their mean moves less (Bad-OOD says nothing of it).

    Args:
        directory: data/detectors/DETECTOR.
        judges: first (the smallest seed) | mean (of the raw log-odds of all seeds).
        device: where to compute.
    """

    def __init__(self, directory: str | os.PathLike, judges: str, device: torch.device):
        paths = list(saved_seeds(directory).values())
        self.detectors = [Inference(path, device) for path in (paths[:1] if judges == "first" else paths)]

    def log_odds(self, path: str | os.PathLike, score: str) -> Tensor:
        """Raw log-odds of being OOD of the images of a file [N], each detector's [N, judges], float64; see `Inference.log_odds`."""
        return self.judged(path, score)[0]

    def judged(self, path: str | os.PathLike, score: str) -> tuple[Tensor, Tensor]:
        """The same, and by the same passes the class of each image [N]: of the highest probability, mean over the judges."""
        logits = [detector.outputs(path)[0] for detector in self.detectors]
        odds = [detector.log_odds(own, score) for detector, own in zip(self.detectors, logits, strict=True)]
        return torch.stack(odds, dim=1), torch.stack(logits).softmax(-1).mean(0).argmax(1)
