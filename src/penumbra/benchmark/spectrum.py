"""Full spectrum (OpenOOD v1.5; Yang, Zhou and Liu 2023): covariate-shifted ID counts as ID, and a detector must not reject it."""

from collections.abc import Collection, Iterable

import pandas as pd

from penumbra.benchmark.evaluation import evaluate_detector


def full_spectrum(detector: str, scores: pd.DataFrame, sets: Collection[str], more: Iterable[str]) -> pd.DataFrame:
    """Metrics as `evaluate_detector` has them, with ID test images and those of `sets` on the side of ID; no row without such images.

    Args:
        detector: its name.
        scores: columns of data/scores/DETECTOR.parquet.
        sets: ID classes from elsewhere, the names of prepare.shift.sets; rendered shifts stay out, as they have no end.
        more: names of the scores in score.more.
    """
    shifted = (scores.group == "shift") & scores.set.isin(list(sets))
    if not shifted.any():
        return pd.DataFrame()
    return evaluate_detector(detector, scores.assign(group=scores.group.mask(shifted, "id")), more)
