"""calibrate: a detector's scores of ID validation and calibration OOD -> maps from score to P(OOD)."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from penumbra.artifacts.images import read_table
from penumbra.artifacts.tables import write_json
from penumbra.calibrate.measures import cross_fitted, measures, reliability
from penumbra.calibrators import CALIBRATORS, fit
from penumbra.errors import PenumbraError
from penumbra.models.inference import Judge
from penumbra.runtime import setup
from penumbra.stage import Stage

ACCEPTED = 0.95  # share of ID that a detector takes for ID, as in FPR95
ERRORS_ABOVE_CHANCE = 3  # standard errors by which a classifier that has learnt is better than the commonest class


def main(stage: Stage) -> None:
    """Write data/calibration/DETECTOR.json (Bad-OOD Algorithm 1): maps fitted on all images, measures cross-fitted.

    `accepts` is the highest raw score that is taken for ID, where 95% of ID validation images are.

    Raises:
        PenumbraError: the detector has not learnt its classes; its scores of OOD are no higher than those of ID.
    """
    device = setup()
    p, seed = stage.params.calibrate[stage.item], stage.params.common.seed
    judge = Judge(stage.read("detectors"), p.judges, device)
    odds, classes = judge.judged(stage.read("images/val"), p.score)
    labels = read_table(stage.read("images/val"), ["label"])["label"].to_numpy()
    accuracy = check_learnt(stage.name, classes.numpy() == labels, np.bincount(labels).max() / len(labels))
    parts = [of_file.mean(dim=1).numpy() for of_file in (odds, judge.log_odds(stage.read("images/calibration"), p.score))]
    raw, is_ood = np.concatenate(parts), np.repeat([False, True], [len(part) for part in parts])

    calibrators = {name: fit(name, raw, is_ood) for name in CALIBRATORS}
    if np.ptp(calibrators[p.calibrator].probability(raw)) == 0:
        raise PenumbraError(
            f"{stage.name}: calibration OOD score no higher than ID validation, so P(OOD) says nothing. The detector knows the class of "
            f"{accuracy:.0%} of ID validation: if that is little, train for more epochs; if not, name other images in prepare.calibration."
        )
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


def check_learnt(name: str, right: NDArray[np.bool_], chance: float) -> float:
    """The accuracy of a detector that has learnt its classes.

    Args:
        name: of the stage.
        right: whether it knows the class of each ID validation image [N].
        chance: share of the commonest class among them.

    Raises:
        PenumbraError: the accuracy is not above chance, or by less than ERRORS_ABOVE_CHANCE standard errors.
    """
    accuracy, least = float(right.mean()), chance + ERRORS_ABOVE_CHANCE * np.sqrt(chance * (1 - chance) / len(right))
    if accuracy <= chance or accuracy < least <= 1:  # of few images none can be better by so much
        raise PenumbraError(
            f"{name}: the detector knows the class of {accuracy:.0%} of {len(right)} ID validation images, and guessing knows "
            f"{chance:.0%}: it has not learnt. Train its recipe for more epochs, or give more images of each class."
        )
    return accuracy
