"""SONA: how far its edits lead, by stop step (Fig. 6 b)."""

import pandas as pd

from penumbra.benchmark.found import Found, Frames, joined
from penumbra.stage import Stage

COLUMNS = ("stop",)
EDITS = ("distance_l2", "distance_cosine")


def tables(stage: Stage, found: Found, made: Frames) -> tuple[Frames, Frames]:
    """The table of the edits."""
    frames = (edits_table(name, frame) for name, frame in found.of("sona").items())
    return {"edits": joined(frames, ["method", "stop", "count", "l2_mean", "l2_std", "cosine_mean", "cosine_std"])}, {}


def edits_table(method: str, outliers: pd.DataFrame) -> pd.DataFrame:
    """Feature distance of edited images from their source by stop step: rows method, stop, count, l2_mean, l2_std, cosine_mean, ..."""
    by_stop = outliers.groupby("stop")[list(EDITS)].agg(["mean", "std"])
    by_stop.columns = [f"{name.removeprefix('distance_')}_{moment}" for name, moment in by_stop.columns]
    by_stop.insert(0, "count", outliers.groupby("stop").size())
    return by_stop.reset_index().assign(method=method)[["method", "stop", *by_stop.columns]]
