"""The shortcut probe: whether detectors see the autoencoder that outliers come from."""

from collections.abc import Mapping

import pandas as pd

from penumbra.benchmark import evaluation
from penumbra.benchmark.found import Found, joined
from penumbra.ranks import auroc

PROBED = ("energy", "msp", "mcm", "neglabel")  # those that a detector has
COLUMNS = ("detector", "control", "score", "count", "seed", "auroc", "accuracy")


def table(found: Found) -> pd.DataFrame:
    """Every detector on the round trips of every control, mean and spread over seeds."""
    by_seed = joined((probe_by_seed(control, probe, found.scores) for control, probe in found.probes.items()), COLUMNS)
    return evaluation.spread(by_seed, ["detector", "control", "score", "count"], ["auroc", "accuracy"])


def probe_by_seed(control: str, probe: pd.DataFrame, scores: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """AUROC between ID test images and their round trip through an autoencoder.

    0.5 means that the detector does not see the autoencoder; 1 that it takes every round trip for OOD.

    Args:
        control: whose autoencoder.
        probe: rows of data/probes/CONTROL.parquet.
        scores: rows of data/scores/DETECTOR.parquet by detector.

    Returns:
        Rows *COLUMNS, for the seeds that both have; count is that of the round trips, accuracy that of their classes.
    """
    rows = []
    for (detector, seed), made in probe.groupby(["detector", "seed"], sort=False):
        if detector not in scores or seed not in set(scores[detector].seed):
            continue
        of_seed = scores[detector][scores[detector].seed == seed]
        real = of_seed[of_seed.group == "id"]
        for score in [name for name in PROBED if name in real and made[name].notna().all()]:
            key = {"detector": detector, "control": control, "score": score, "count": len(made), "seed": seed}
            accuracy = (made.predicted == made.label).mean()
            rows.append(key | {"auroc": auroc(made[score].to_numpy(), real[score].to_numpy()), "accuracy": accuracy})
    return pd.DataFrame(rows, columns=list(COLUMNS))
