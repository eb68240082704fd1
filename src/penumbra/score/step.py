"""score: every OOD score of every test image, from one forward pass, for each training seed of a detector."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from penumbra.artifacts.images import read_table
from penumbra.artifacts.tables import write_parquet
from penumbra.calibrators import fit
from penumbra.models.inference import Inference, saved_seeds
from penumbra.runtime import setup
from penumbra.scores import energy, knn, max_logit, msp
from penumbra.stage import Stage

TESTS = ("images/test", "images/ood", "images/shifted")


def main(stage: Stage) -> None:
    """Write data/scores/DETECTOR.parquet: rows of test, ood and shifted for each seed; higher = more OOD."""
    device = setup(threads=1)  # seeds run side by side
    seeds = saved_seeds(stage.read("detectors"))
    units = {f"seed-{seed}.parquet": seed for seed in seeds}
    for unit in stage.todo(units):
        frame = score_seed(stage, seeds[units[unit]], device)
        frame.insert(0, "seed", units[unit])
        write_parquet(stage.scratch / unit, frame, stage.provenance)
    if stage.part is None:
        frames = [read_table(stage.scratch / unit).to_pandas() for unit in units]
        write_parquet(stage.write(), pd.concat(frames, ignore_index=True), stage.provenance)
        stage.finish()


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
