"""The rows and columns of data/scores, whatever kind the detector is of."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from penumbra.artifacts.images import read_table
from penumbra.calibrators import fit
from penumbra.scores import energy, max_logit, msp, neighbours
from penumbra.stage import Stage

TESTS = ("images/test", "images/ood", "images/shifted")
KEYS = ("sample_id", "set", "group", "strength", "label")


class Outputs(NamedTuple):
    """What a detector says of N images.

    Attributes:
        logits: of the ID classes [N, C].
        features: [N, D].
        log_odds: raw log-odds of being OOD [N], which the confidence is calibrated from.
        more: further scores by column, [N] each.
    """

    logits: Tensor
    features: Tensor
    log_odds: Tensor
    more: dict[str, Tensor]


Ask = Callable[[str], Outputs]  # outputs for the images of a read


def score_frame(stage: Stage, ask: Ask) -> pd.DataFrame:
    """Scores of all test images by one detector; then those of ID validation.

    The confidence is P(OOD), calibrated on this detector's own log-odds of ID validation and calibration OOD.
    """
    p = stage.params.score
    bank = ask("images/train").features
    validation = ask("images/val")
    held_out = [outputs.log_odds.numpy() for outputs in (validation, ask("images/calibration"))]
    calibrator = fit(p.calibrator, np.concatenate(held_out), np.repeat([False, True], [len(part) for part in held_out]))
    parts = [(_keys(stage.read(name)), ask(name)) for name in TESTS]
    parts.append((_keys(stage.read("images/val")).assign(group="val", set="id-val"), validation))
    frames = []
    for frame, outputs in parts:
        logits = outputs.logits
        frame["predicted"] = logits.argmax(dim=1).numpy()
        distances = neighbours(outputs.features, bank, {"score.knn_k": [p.knn_k], "score.knn_more": p.knn_more}).numpy()
        scores = {"msp": msp(logits), "max_logit": max_logit(logits), "energy": energy(logits)}
        frame = frame.assign(**{score: values.numpy() for score, values in scores.items()}, knn=distances[:, 0])
        frame["confidence"] = calibrator.probability(outputs.log_odds.numpy())
        frame = frame.assign(**{f"knn_{k}": distances[:, place] for place, k in enumerate(p.knn_more, start=1)})
        frames.append(frame.assign(**{score: values.numpy() for score, values in outputs.more.items()}))
    return pd.concat(frames, ignore_index=True)


def _keys(path: Path) -> pd.DataFrame:
    return read_table(path, KEYS).to_pandas()
