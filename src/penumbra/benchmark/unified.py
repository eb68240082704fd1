"""The unified score of GOOD (eq. 9): S = w D_k + (1 - w) E^, with w = 1 - exp(-a KL(P || Q)); higher = more OOD.

D_k is the distance to the k-th neighbour, E^ the energy after min-max scaling, P and Q the histograms of D_k of the test images and of
ID validation. What counts as "the test images" decides what the score knows:

- per-set: one OOD test set by itself, as in the paper. It looks at the whole test set (transductive) and has to be told which images
  of it are OOD (their label leaks): no deployed detector can know that.
- mixture: ID test images and one OOD test set together, unlabelled. Transductive, leaks no label.
- id-only: the one image that is scored. Bounds and histogram come from ID validation, P is a point mass in the image's own bin; no
  other test image is looked at.
- fixed: w is a constant, the bounds come from ID validation.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from penumbra.benchmark.metrics import evaluate
from penumbra.benchmark.params import MODES

COUNT_EPSILON, RANGE_EPSILON = 1e-9, 1e-12  # as in the official code: on every count; in the denominator of the scaling
METRICS = ("fpr95_id_tpr", "fpr95_ood_tpr", "auroc")
KEYS = ("detector", "mode", "k", "a", "set", "group")


@dataclass(frozen=True)
class Images:
    """Scores of some images: energy [N] and the distance to the k-th neighbour [N]."""

    energy: np.ndarray
    distance: np.ndarray

    def __add__(self, other: "Images") -> "Images":
        return Images(np.concatenate([self.energy, other.energy]), np.concatenate([self.distance, other.distance]))


@dataclass(frozen=True)
class Setting:
    """How the two scores are combined: a mode of MODES, a >= 0, the number of bins >= 2, w of mode fixed in [0, 1]."""

    mode: str
    a: float
    bins: int
    weight: float


def bin_edges(values: np.ndarray, bins: int) -> np.ndarray:
    """Edges [bins + 1] of equal bins over the range of the values; around a single value where all are equal."""
    low, high = values.min(), values.max()
    return np.linspace(low, high, bins + 1) if high > low else np.linspace(low - 0.5, high + 0.5, bins + 1)


def shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Smoothed share of the values in each bin [bins], above 0, of sum 1; every count is raised by COUNT_EPSILON."""
    counts = np.histogram(values, edges)[0] + COUNT_EPSILON
    return counts / counts.sum()


def divergence(test: np.ndarray, reference: np.ndarray, bins: int) -> float:
    """KL(P || Q) >= 0 in nats, of the histograms P of `test` [N] and Q of `reference` [M] over their joint range."""
    edges = bin_edges(np.concatenate([test, reference]), bins)
    p, q = shares(test, edges), shares(reference, edges)
    return max(float(np.sum(p * np.log(p / q))), 0.0)  # rounding may fall below


def own_divergence(distance: np.ndarray, reference: np.ndarray, bins: int) -> np.ndarray:
    """KL(P || Q) >= 0 [N] where P is the point mass of each distance [N] by itself: -log of the share of its bin.

    Q is the histogram of `reference` [M] over its own range. Whatever lies outside, on either side, has the share of an empty bin.
    """
    edges = bin_edges(reference, bins)
    q = shares(reference, edges)
    outside = (distance < edges[0]) | (distance > edges[-1])
    place = np.clip(np.searchsorted(edges, distance, side="right") - 1, 0, bins - 1)
    return np.maximum(-np.log(np.where(outside, COUNT_EPSILON / (len(reference) + bins * COUNT_EPSILON), q[place])), 0.0)


def weight(kl: np.ndarray | float, a: float) -> np.ndarray | float:
    """w = 1 - exp(-a KL) in [0, 1]."""
    return -np.expm1(-a * np.asarray(kl))


def combine(images: Images, w: np.ndarray | float, scaled_by: np.ndarray) -> np.ndarray:
    """S = w D_k + (1 - w) E^ [N]; E^ is the energy scaled by the least and the greatest of `scaled_by`."""
    low, high = scaled_by.min(), scaled_by.max()
    return w * images.distance + (1 - w) * (images.energy - low) / (high - low + RANGE_EPSILON)


def unified(inside: Images, outside: Images, validation: Images, setting: Setting) -> tuple[np.ndarray, np.ndarray, float]:
    """The unified score where ID test images are compared with one OOD test set.

    Args:
        inside: ID test images.
        outside: images of one OOD test set.
        validation: ID validation images.
        setting: the mode and its numbers.

    Returns:
        (scores of `inside`, scores of `outside`, mean w over all of them).
    """
    if setting.mode in ("per-set", "mixture"):
        test = outside if setting.mode == "per-set" else inside + outside
        w = weight(divergence(test.distance, validation.distance, setting.bins), setting.a)
        bounds = (test + validation).energy
        return combine(inside, w, bounds), combine(outside, w, bounds), float(w)
    scored, weights = [], []
    for images in (inside, outside):
        fixed = np.full(len(images.energy), setting.weight)
        w = fixed if setting.mode == "fixed" else weight(own_divergence(images.distance, validation.distance, setting.bins), setting.a)
        scored.append(combine(images, w, validation.energy))
        weights.append(w)
    return scored[0], scored[1], float(np.concatenate(weights).mean())


def images_of(frame: pd.DataFrame, k: int, headline_k: int) -> Images:
    """The scores of rows of data/scores/DETECTOR.parquet, with the distance to the k-th neighbour."""
    return Images(frame.energy.to_numpy(np.float64), frame[column_of(k, headline_k)].to_numpy(np.float64))


def column_of(k: int, headline_k: int) -> str:
    """The column of the distance to the k-th neighbour: `knn` for score.knn_k, `knn_K` for the others."""
    return "knn" if k == headline_k else f"knn_{k}"


def variants(ks: list[int], a: float, a_grid: list[float], curves: bool) -> list[tuple[str, int | None, float | None]]:
    """What is compared, as (mode, k, a): energy alone, kNN alone, every mode; with `curves` each also along k and along a."""
    headline_k, further = ks[0], ks[1:] if curves else []
    grid = [value for value in a_grid if value != a] if curves else []
    found: list[tuple[str, int | None, float | None]] = [("energy", None, None), ("knn", headline_k, None)]
    found += [(mode, headline_k, None if mode == "fixed" else a) for mode in MODES]
    found += [("knn", k, None) for k in further]
    found += [(mode, k, None if mode == "fixed" else a) for mode in MODES for k in further]
    return found + [(mode, headline_k, value) for mode in MODES if mode != "fixed" for value in grid]


def by_seed(detector: str, scores: pd.DataFrame, ks: list[int], setting: Setting, a_grid: list[float], curves: bool) -> pd.DataFrame:
    """Metrics of one detector by each variant, for each seed.

    Args:
        detector: its name.
        scores: rows of data/scores/DETECTOR.parquet.
        ks: the neighbours that it was scored by; the first is the headline's.
        setting: bins and weight; `a` of the headline. The mode is ignored: all are evaluated.
        a_grid: further values of a, where `curves`.
        curves: also along k and a, and each test set by itself.

    Returns:
        Rows *KEYS, seed, weight, *METRICS; near and far are means over their sets, and so is the weight.
    """
    rows = []
    for seed, of_seed in scores.groupby("seed"):
        parts = {k: _parts(of_seed, k, ks[0]) for k in (ks if curves else ks[:1])}
        for mode, k, a in variants(ks, setting.a, a_grid, curves):
            chosen = Setting(mode, setting.a if a is None else a, setting.bins, setting.weight)
            key = {"detector": detector, "mode": mode, "k": k, "a": a, "seed": seed}
            rows += [key | row for row in _sets(parts[k or ks[0]], chosen)]
    sets = pd.DataFrame(rows)
    values = ["weight", *METRICS]
    means = sets.groupby(["detector", "mode", "k", "a", "group", "seed"], sort=False, dropna=False)[values].mean().reset_index()
    means = means.assign(set=means.group)
    result = pd.concat([means, sets]) if curves else means
    return result[[*KEYS, "seed", *values]]


def _parts(of_seed: pd.DataFrame, k: int, headline_k: int) -> dict[tuple[str, str], Images]:
    """Images of one seed by group and set, those of ID test and validation with the set ""; by the distance to the k-th neighbour."""
    parts = {(group, ""): images_of(of_seed[of_seed.group == group], k, headline_k) for group in ("id", "val")}
    ood = of_seed[of_seed.group.isin(["near", "far"])].groupby(["group", "set"], sort=False)
    return parts | {key: images_of(part, k, headline_k) for key, part in ood}


def _sets(parts: dict[tuple[str, str], Images], setting: Setting) -> Iterator[dict]:
    inside, validation = parts["id", ""], parts["val", ""]
    for (group, name), outside in parts.items():
        if not name:
            continue
        if setting.mode == "energy":
            scored = inside.energy, outside.energy, 0.0
        elif setting.mode == "knn":
            scored = inside.distance, outside.distance, 1.0
        else:
            scored = unified(inside, outside, validation, setting)
        measured = evaluate(scored[0], scored[1])
        yield {"set": name, "group": group, "weight": scored[2]} | {metric: measured[metric] for metric in METRICS}


def histograms(detector: str, scores: pd.DataFrame, k: int, setting: Setting, bins: int) -> pd.DataFrame:
    """Densities of energy, kNN and unified score of ID test images and of each OOD test set, scaled to [0, 1] (GOOD, Fig. 8).

    Every score is computed and scaled within one seed and one comparison with a test set; seeds are then put together.

    Returns:
        Rows detector, score, set, group ("id" for the ID test images beside that set), position (centre of a bin), density.
    """
    edges = np.linspace(0, 1, bins + 1)
    rows: dict[tuple, np.ndarray] = {}
    for _, of_seed in scores.groupby("seed"):
        inside, validation = (images_of(of_seed[of_seed.group == group], k, k) for group in ("id", "val"))
        for (group, name), part in of_seed[of_seed.group.isin(["near", "far"])].groupby(["group", "set"], sort=False):
            outside = images_of(part, k, k)
            of_mode = unified(inside, outside, validation, setting)[:2]
            kinds = {"energy": (inside.energy, outside.energy), "knn": (inside.distance, outside.distance), "unified": of_mode}
            for score, pair in kinds.items():
                low, high = (extreme(np.concatenate(pair)) for extreme in (np.min, np.max))
                for label, values in zip(("id", group), pair, strict=True):
                    scaled = (values - low) / max(high - low, RANGE_EPSILON)
                    key = (score, name, label)
                    rows[key] = rows.get(key, 0) + np.histogram(scaled, edges)[0]
    frames = []
    for (score, name, label), counts in rows.items():
        shown = {"detector": detector, "score": score, "set": name, "group": label, "position": (edges[1:] + edges[:-1]) / 2}
        frames.append(pd.DataFrame(shown | {"density": counts * bins / counts.sum()}))
    return pd.concat(frames, ignore_index=True)
