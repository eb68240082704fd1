"""calibrate: a detector's scores of ID validation and calibration OOD -> maps from score to P(OOD)."""

import numpy as np
from scipy.special import expit

from penumbra.artifacts.tables import write_json
from penumbra.calibrate.measures import cross_fitted, measures, reliability
from penumbra.calibrators import CALIBRATORS, fit
from penumbra.models.inference import Judge
from penumbra.runtime import setup
from penumbra.stage import Stage

ACCEPTED = 0.95  # share of ID that a detector takes for ID, as in FPR95


def main(stage: Stage) -> None:
    """Write data/calibration/DETECTOR.json (Bad-OOD Algorithm 1): maps fitted on all images, measures cross-fitted.

    `accepts` is the highest raw score that is taken for ID, where 95% of ID validation images are.
    """
    device = setup()
    p, seed = stage.params.calibrate[stage.item], stage.params.common.seed
    judge = Judge(stage.read("detectors"), p.judges, device)
    paths = [stage.read(name) for name in ("images/val", "images/calibration")]
    parts = [judge.log_odds(path, p.score).mean(dim=1).numpy() for path in paths]
    raw, is_ood = np.concatenate(parts), np.repeat([False, True], [len(part) for part in parts])

    calibrators = {name: fit(name, raw, is_ood) for name in CALIBRATORS}
    probability = {"uncalibrated": expit(raw)} | {name: cross_fitted(name, raw, is_ood, p.folds, seed) for name in CALIBRATORS}
    content = {
        "accepts": float(np.quantile(parts[0], ACCEPTED)),
        "judges": p.judges,
        "score": p.score,
        "calibrator": p.calibrator,
        "calibrators": {name: calibrator.to_json() for name, calibrator in calibrators.items()},
        "measures": {name: measures(values, is_ood, p.bins) for name, values in probability.items()},
        "reliability": {name: reliability(values, is_ood, p.bins) for name, values in probability.items()},
        "provenance": stage.provenance,
    }
    write_json(stage.write(), content)
    stage.finish()
