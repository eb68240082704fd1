"""The units of score: the scores of all test images by the detector of one training seed."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from penumbra.artifacts.images import read_table
from penumbra.calibrators import fit
from penumbra.models.inference import Inference
from penumbra.scores import energy, max_logit, msp, neighbours
from penumbra.stage import Stage

TESTS = ("images/test", "images/ood", "images/shifted")
KEYS = ("sample_id", "set", "group", "strength", "label")


def score_seed(stage: Stage, directory: Path, device: torch.device) -> pd.DataFrame:
    """Scores of all test images by one saved detector; then those of ID validation and of reconstructed ID test images.

    The confidence is P(OOD) by the energy, calibrated on this detector's own scores of ID validation and calibration OOD.
    """
    detector, p = Inference(directory, device), stage.params.score
    _, bank = detector.outputs(stage.read("images/train"))
    validation = detector.outputs(stage.read("images/val"))
    held_out = [energy(logits).numpy() for logits in (validation[0], detector.outputs(stage.read("images/calibration"))[0])]
    calibrator = fit(p.calibrator, np.concatenate(held_out), np.repeat([False, True], [len(part) for part in held_out]))
    parts = [(_keys(stage.read(name)), detector.outputs(stage.read(name))) for name in TESTS]
    parts.append((_keys(stage.read("images/val")).assign(group="val", set="id-val"), validation))
    if "outliers/reconstruction" in stage.reads:
        parts.append(_reconstructed(stage.read("outliers/reconstruction"), detector))
    frames = []
    for frame, (logits, features) in parts:
        frame["predicted"] = logits.argmax(dim=1).numpy()
        distances = neighbours(features, bank, {"score.knn_k": [p.knn_k], "score.knn_more": p.knn_more}).numpy()
        scores = {"msp": msp(logits), "max_logit": max_logit(logits), "energy": energy(logits)}
        frame = frame.assign(**{score: values.numpy() for score, values in scores.items()}, knn=distances[:, 0])
        frame["confidence"] = calibrator.probability(frame.energy.to_numpy())
        frames.append(frame.assign(**{f"knn_{k}": distances[:, place] for place, k in enumerate(p.knn_more, start=1)}))
    return pd.concat(frames, ignore_index=True)


def _keys(path: Path) -> pd.DataFrame:
    return read_table(path, KEYS).to_pandas()


def _reconstructed(path: Path, detector: Inference) -> tuple[pd.DataFrame, tuple[Tensor, Tensor]]:
    """Rows and outputs of what the autoencoder made of ID test images; those of training images are no test of anything."""
    table = read_table(path, ["sample_id", "label", "split"]).to_pandas()
    test = (table.split == "test").to_numpy()
    rows = table[test].reset_index(drop=True).assign(set="id-reconstructed", group="reconstruction", strength=0)
    return rows[list(KEYS)], detector.outputs(path, test)
