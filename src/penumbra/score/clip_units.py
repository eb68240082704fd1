"""The units of score of CLIP detectors: the scores of all test images by the detector of one training seed; no image is read."""

from pathlib import Path

import pandas as pd
import torch
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

    def ask(name: str) -> Outputs:
        ids = read_table(stage.read(name), ["sample_id"])["sample_id"].to_pylist()
        features = images[name.removeprefix("images/")]
        if len(ids) != len(features):
            raise PenumbraError(
                f"data/features: hold {len(features)} rows for {len(ids)} images of {name}. Run `dvc repro` to make them again."
            )
        return outputs_of(detector, features.to(device), "/".join(directory.parts[-2:]), ids)

    return score_frame(stage, ask)


@torch.no_grad()
def outputs_of(detector: ClipDetector, features: Tensor, name: str, sample_ids: list[str]) -> Outputs:
    """What a detector says of raw CLIP features [N, D] on its device.

    Raises:
        PenumbraError: an output is not finite; names the detector and the image.
    """
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
