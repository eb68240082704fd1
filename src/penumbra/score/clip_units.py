"""The units of score of CLIP detectors: the scores of all test images by the detector of one training seed; no image is read."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import read_table
from penumbra.errors import PenumbraError
from penumbra.models.clip_detector import ClipDetector
from penumbra.score.frames import Outputs, score_frame
from penumbra.stage import Stage


def score_seed(stage: Stage, directory: Path, device: torch.device) -> pd.DataFrame:
    """Scores of all images by one saved detector; the confidence is by neglabel.

    Raises:
        PenumbraError: features do not belong to the images or to the detector, or an output is not finite.
    """
    detector = ClipDetector.from_pretrained(directory).to(device)
    images, _ = read_features(stage.read("features/clip"))

    def ask(name: str, rows: NDArray[np.bool_] | None) -> Outputs:
        kind, _, section = name.partition("/")
        ids = read_table(stage.read(name), ["sample_id"])["sample_id"].to_pylist()
        features = images[section] if kind == "images" else _probe_features(stage.read(f"features/clip-{section}"), ids, name)
        if len(ids) != len(features):
            raise PenumbraError(
                f"data/features: hold {len(features)} rows for {len(ids)} images of {name}. Run `dvc repro` to make them again."
            )
        if rows is not None:
            features, ids = features[torch.tensor(rows)], np.asarray(ids)[rows].tolist()
        return _outputs(detector, features.to(device), "/".join(directory.parts[-2:]), ids)

    return score_frame(stage, ask)


def _probe_features(path: Path, sample_ids: list[str], images: str) -> Tensor:
    """Features of round trips, checked to be in the order of their file."""
    tensors, given = read_features(path)
    if given != sample_ids:
        raise PenumbraError(f"{path}: holds other images than data/{images}. Run `dvc repro` to make it again.")
    return tensors["features"]


@torch.no_grad()
def _outputs(detector: ClipDetector, features: Tensor, name: str, sample_ids: list[str]) -> Outputs:
    scores = detector(features)
    finite = scores.logits.isfinite().all(1) & scores.log_odds.isfinite()
    if not finite.all():
        first, count = sample_ids[int(finite.long().argmin())], int((~finite).sum())
        raise PenumbraError(
            f"detector {name}: output for image {first} is NaN or infinite ({count} of {len(finite)} images). Train with a lower "
            "project_learning_rate or tune_learning_rate."
        )
    more = {"mcm": scores.mcm.cpu(), "neglabel": scores.neglabel.cpu()}
    return Outputs(scores.logits.double().cpu(), scores.features.cpu(), scores.log_odds.cpu(), more)
