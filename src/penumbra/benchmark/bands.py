"""What each detector learnt from, and where the candidates of each band lie (Bad-OOD, Table 11)."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from penumbra.seeds import derive
from penumbra.values import BANDS, READINGS

if TYPE_CHECKING:
    from penumbra.train.params import Detector

DISTANCES = ("distance_l2", "distance_cosine", "distance_mse", "distance_unit_l2")


def pool_size(bands: Sequence[str], candidates: int, selection: pd.DataFrame | None) -> int:
    """How many candidates a detector learns from.

    Args:
        bands: `train.detectors.NAME.bands`: [all], [kept] (all that nobody has vetoed), [random] (as many as mid), [upper], [third], or
            some of low, mid, high.
        candidates: rows of data/outliers/METHOD.parquet.
        selection: rows of data/selections/METHOD.parquet; None where the method has none, and so no bands.
    """
    if list(bands) == ["all"]:
        return candidates
    if selection is None:
        return 0
    if list(bands) == ["kept"]:
        return len(selection)
    if bands[0] in READINGS:
        return int(selection[bands[0]].sum())
    return int(selection.band.isin(["mid"] if list(bands) == ["random"] else list(bands)).sum())


def detectors_table(
    detectors: "Mapping[str, Detector]",
    candidates: dict[str, int],
    selections: dict[str, pd.DataFrame],
    headline: pd.DataFrame,
    accuracy: pd.DataFrame,
) -> pd.DataFrame:
    """One row for each detector: what it was trained on, its headline score, its metrics on near and far OOD, its ID accuracy.

    Args:
        detectors: `train.detectors`.
        candidates: number of candidates by method.
        selections: rows of data/selections/METHOD.parquet by method.
        headline: spread over seeds of each detector's headline score.
        accuracy: spread over seeds of id_acc.
    """
    rows, chosen = [], headline.drop_duplicates("detector").set_index("detector").score
    for name, detector in detectors.items():
        method = detector.method if detector.method in candidates else ""
        rows.append(
            {
                "detector": name,
                "recipe": detector.recipe,
                "method": method,
                "bands": "+".join(detector.bands) if method else "",
                "outliers": pool_size(detector.bands, candidates[method], selections.get(method)) if method else 0,
                "score": chosen[name],
            }
        )
    return pd.DataFrame(rows).merge(wide(headline), on="detector").merge(accuracy, on="detector")


def wide(headline: pd.DataFrame) -> pd.DataFrame:
    """Rows near and far of each detector side by side: columns near_METRIC_mean, near_METRIC_std, far_..."""
    parts = []
    for group in ("near", "far"):
        part = headline[headline.set == group].drop(columns=["score", "set", "group"]).set_index("detector")
        parts.append(part.add_prefix(f"{group}_"))
    return pd.concat(parts, axis=1).reset_index()


def draw(sample_ids: pd.Series, count: int, seed: int) -> pd.Series:
    """Mask of at most `count` random rows; whether a row is drawn depends on its id and the seed, not on its place."""
    return sample_ids.map(lambda sample_id: derive(seed, "benchmark", sample_id)).rank(method="first") <= count


def distances_table(method: str, outliers: pd.DataFrame, selection: pd.DataFrame, samples: int, seed: int) -> pd.DataFrame:
    """Feature distance of candidates from their source image, by band (Table 11, which does not say which distance it is).

    Args:
        method: synthesis method.
        outliers: sample_id of data/outliers/METHOD.parquet, and those of DISTANCES that it has.
        selection: rows of data/selections/METHOD.parquet.
        samples: random candidates of each band, as the paper's 100.
        seed: the experiment's seed.

    Returns:
        Rows method, band, drawn ("all" or "random"), distance, count, mean, std, sem (standard error of the mean).
    """
    joined = outliers.merge(selection[["sample_id", "band"]], on="sample_id")
    rows = []
    for band in BANDS:
        inside = joined[joined.band == band]
        for drawn, frame in {"random": inside[draw(inside.sample_id, samples, seed)], "all": inside}.items():
            for name in [name for name in DISTANCES if name in frame]:
                std = frame[name].std()
                key = {"method": method, "band": band, "drawn": drawn, "distance": name.removeprefix("distance_"), "count": len(frame)}
                rows.append(key | {"mean": frame[name].mean(), "std": std, "sem": std / np.sqrt(max(len(frame), 1))})
    return pd.DataFrame(rows, columns=["method", "band", "drawn", "distance", "count", "mean", "std", "sem"])


AGREEMENT = ("method", "accepted", "class_kept", "judges", "same_band", "overlap", "overlap_by_chance")


def agreement_row(method: str, selection: pd.DataFrame) -> dict:
    """What the judges say of all candidates of a method, and how far those of different training seeds agree, mean over pairs.

    Args:
        method: its variant.
        selection: rows of data/selections; column band_K for each judge.

    Returns:
        AGREEMENT: share of candidates that pass as ID, where 95% of ID images do, and of those that keep their class; number of judges;
        share of candidates that both put into the same band; overlap of their mid bands (intersection over union), and that of two
        random sets of these sizes.
    """
    alone = selection[[column for column in selection if column.startswith("band_")]].to_numpy()
    pairs = [(alone[:, first], alone[:, second]) for first, second in combinations(range(alone.shape[1]), 2)]
    rows = []
    for first, second in pairs:
        inside, other = first == "mid", second == "mid"
        chance = inside.mean() * other.mean()
        expected = chance / max(inside.mean() + other.mean() - chance, 1e-12)
        rows.append(((first == second).mean(), (inside & other).sum() / max((inside | other).sum(), 1), expected))
    means = np.mean(rows, axis=0) if rows else [np.nan] * 3
    shares = (selection.accepted.mean(), selection.class_kept.mean())
    return dict(zip(AGREEMENT, (method, *shares, alone.shape[1], *means), strict=True))
