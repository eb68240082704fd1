"""score: every OOD score of every test image, from one forward pass, for each training seed of a detector."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from penumbra.artifacts.images import read_table
from penumbra.artifacts.tables import write_parquet
from penumbra.calibrators import fit
from penumbra.errors import PenumbraError
from penumbra.models.inference import infer, saved_seeds
from penumbra.models.resnet import Detector
from penumbra.runtime import setup
from penumbra.scores import energy, knn, max_logit, msp
from penumbra.stage import Stage

TESTS = ("images/test", "images/ood", "images/shifted")
SCORES = ("msp", "max_logit", "energy", "knn", "confidence")


def main(stage: Stage) -> None:
    """Write data/scores/DETECTOR.parquet: rows of test, ood and shifted for each seed; higher = more OOD."""
    device = setup()
    seeds = saved_seeds(stage.read("detectors"))
    units = {f"seed-{seed}.parquet": seed for seed in seeds}
    for unit in stage.todo(units):
        frame = score_seed(stage, seeds[units[unit]], device)
        frame.insert(0, "seed", units[unit])
        check_finite(frame, stage.item)
        write_parquet(stage.scratch / unit, frame, stage.provenance)
    if stage.part is None:
        frames = [read_table(stage.scratch / unit).to_pandas() for unit in units]
        write_parquet(stage.write(), pd.concat(frames, ignore_index=True), stage.provenance)
        stage.finish()


def score_seed(stage: Stage, directory: Path, device: torch.device) -> pd.DataFrame:
    """Scores of all test images by one saved detector.

    The confidence is P(OOD) by the energy, calibrated on this detector's own scores of ID validation and calibration OOD.
    """
    detector, p = Detector.from_pretrained(directory).to(device), stage.params.score
    _, bank = infer(detector, stage.read("images/train"), device)
    held_out = [energy(infer(detector, stage.read(name), device)[0]).numpy() for name in ("images/val", "images/calibration")]
    calibrator = fit(p.calibrator, np.concatenate(held_out), np.repeat([False, True], [len(part) for part in held_out]))
    frames = []
    for name in TESTS:
        logits, features = infer(detector, stage.read(name), device)
        frame = read_table(stage.read(name), ["sample_id", "set", "group", "strength", "label"]).to_pandas()
        frame["predicted"] = logits.argmax(dim=1).numpy()
        scores = {"msp": msp(logits), "max_logit": max_logit(logits), "energy": energy(logits), "knn": knn(features, bank, p.knn_k)}
        frame = frame.assign(**{score: values.numpy() for score, values in scores.items()})
        frame["confidence"] = calibrator.probability(frame.energy.to_numpy())
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def check_finite(frame: pd.DataFrame, detector: str) -> None:
    """Raises:
    PenumbraError: a score is NaN or infinite; names the detector, the seed, the score and the image.
    """
    rows, columns = np.nonzero(~np.isfinite(frame[list(SCORES)].to_numpy()))
    if len(rows):
        first = frame.iloc[rows[0]]
        raise PenumbraError(
            f"detector {detector}, seed {first.seed}: {SCORES[columns[0]]} of image {first.sample_id} is {first[SCORES[columns[0]]]}"
            f" ({len(set(rows))} images in all). Train it anew with a lower learning_rate."
        )
