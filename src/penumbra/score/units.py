"""The units of score: the scores of all test images by the detector of one training seed."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from penumbra.artifacts.images import read_table
from penumbra.calibrators import fit
from penumbra.models.inference import Inference
from penumbra.scores import energy, knn, max_logit, msp
from penumbra.stage import Stage

TESTS = ("images/test", "images/ood", "images/shifted")


def score_seed(stage: Stage, directory: Path, device: torch.device) -> pd.DataFrame:
    """Scores of all test images by one saved detector.

    The confidence is P(OOD) by the energy, calibrated on this detector's own scores of ID validation and calibration OOD.
    """
    detector, p = Inference(directory, device), stage.params.score
    _, bank = detector.outputs(stage.read("images/train"))
    held_out = [energy(detector.outputs(stage.read(name))[0]).numpy() for name in ("images/val", "images/calibration")]
    calibrator = fit(p.calibrator, np.concatenate(held_out), np.repeat([False, True], [len(part) for part in held_out]))
    frames = []
    for name in TESTS:
        logits, features = detector.outputs(stage.read(name))
        frame = read_table(stage.read(name), ["sample_id", "set", "group", "strength", "label"]).to_pandas()
        frame["predicted"] = logits.argmax(dim=1).numpy()
        scores = {"msp": msp(logits), "max_logit": max_logit(logits), "energy": energy(logits), "knn": knn(features, bank, p.knn_k)}
        frame = frame.assign(**{score: values.numpy() for score, values in scores.items()})
        frame["confidence"] = calibrator.probability(frame.energy.to_numpy())
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
