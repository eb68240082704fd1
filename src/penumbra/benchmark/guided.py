"""What an overlay draws of GOOD's candidates: histograms by strength (Fig. 7) and by gamma (Fig. 10), and a map of features (Fig. 9 b)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import load_file

from penumbra.benchmark.found import Frames, joined
from penumbra.stage import Stage

ID = "ID train"
STRENGTHS = ("method", "guidance", "rho", "mu", "measure", "value", "density")
GAMMAS = ("guidance", "gamma", "energy", "density")
FEATURES = ("method", "label", "x", "y")
MEASURED, BLOCK = 1000, 100  # ID images whose distance to all the others is measured, at most; so many at a time
PERPLEXITY = 30  # of t-SNE, as scikit-learn has it


@dataclass(frozen=True)
class Known:
    """ID training images under the classifier that guides.

    Attributes:
        energy: free energies [N].
        features: of length 1 [N, D].
        label: classes [N].
    """

    energy: NDArray[np.float64]
    features: NDArray[np.float64]
    label: NDArray[np.int64]


def known(path: Path, energy: NDArray[np.float64]) -> Known:
    """ID training images.

    Args:
        path: data/features/classifier.safetensors.
        energy: of these images.
    """
    saved = load_file(path)
    return Known(energy, unit(saved["features"]), saved["label"])


def plots(stage: Stage, candidates: Frames, energy: NDArray[np.float64]) -> Frames:
    """What `benchmark.guided` asks for, as far as the candidates are there; nothing where there is no such section.

    Args:
        stage: benchmark.
        candidates: of GOOD, by variant.
        energy: of the ID training images [N].
    """
    asked, variants = stage.params.benchmark.guided, stage.params.synthesize
    if asked is None:
        return {}
    of, bins = known(stage.read("features") / "classifier.safetensors", energy), stage.params.benchmark.bins
    found = {key: {name: candidates[name] for name in asked[key] if name in candidates} for key in ("strengths", "gammas", "features")}
    by_strength = (strengths(name, frame, of, variants[name].knn_k, bins) for name, frame in found["strengths"].items())
    gamma = {name: {guidance: section.gamma for guidance, section in variants[name].guidances.items()} for name in found["gammas"]}
    made = {
        "guided-strengths": joined(by_strength, STRENGTHS),
        "guided-gammas": joined(gammas(found["gammas"], gamma, of, bins), GAMMAS),
        "guided-features": features(found["features"], of, asked.points),
    }
    return {name: frame for name, frame in made.items() if len(frame)}


def unit(features: NDArray) -> NDArray[np.float64]:
    """Rows taken to length 1, as D_k has them (eq. 6); a row of zeros stays one."""
    rows = np.asarray(features, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def id_distances(features: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Distances to the k-th nearest of the others, of at most MEASURED of some features of length 1 [N, D], evenly chosen."""
    chosen, place = spaced(len(features), MEASURED), -min(k, len(features) - 1)
    found = []
    for rows in (chosen[start : start + BLOCK] for start in range(0, len(chosen), BLOCK)):
        cosines = features[rows] @ features.T
        cosines[np.arange(len(rows)), rows] = -np.inf  # nobody is a neighbour of itself
        found.append(np.partition(cosines, place, axis=1)[:, place])
    return np.sqrt(np.maximum(2 - 2 * np.concatenate(found), 0))


def spaced(count: int, most: int) -> NDArray[np.int64]:
    """At most so many indices below `count`, evenly spaced, in order."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def apart(cells: pd.DataFrame) -> bool:
    """Whether rho and mu vary apart: one of them has several values beside the same value of the other.

    Args:
        cells: columns rho and mu of candidates, or of the strengths of a table, of one guidance.
    """
    return len(cells[["rho", "mu"]].drop_duplicates()) > min(cells.rho.nunique(), cells.mu.nunique())


def strengths(method: str, outliers: pd.DataFrame, of: Known, k: int, bins: int) -> pd.DataFrame:
    """Densities of energy and of the distance to the k-th neighbour at each strength of each guidance, and of ID images (Fig. 7).

    Args:
        outliers: columns guidance, rho, mu, energy, knn of data/outliers/METHOD.parquet.

    Returns:
        Columns STRENGTHS; rho and mu of ID images are NaN. The bins of a guidance are those of all its strengths.
    """
    beside = {"energy": of.energy, "knn": id_distances(of.features, k)}
    frames = []
    for guidance, part in outliers.groupby("guidance", sort=False):
        for measure, of_id in beside.items():
            edges = edges_of([part[measure], of_id], bins)
            cells = [(np.nan, np.nan, of_id), *((*strength, cell[measure]) for strength, cell in part.groupby(["rho", "mu"]))]
            for rho, mu, values in cells:
                key = {"method": method, "guidance": guidance, "rho": rho, "mu": mu, "measure": measure}
                frames.append(density_of(values, edges, key, "value"))
    return joined(frames, STRENGTHS)[list(STRENGTHS)]


def gammas(variants: Frames, gamma: dict[str, dict[str, float]], of: Known, bins: int) -> Iterator[pd.DataFrame]:
    """Densities of the energy by gamma, and of ID images, for each guidance (Fig. 10).

    Args:
        variants: columns guidance, energy of data/outliers/METHOD.parquet, by METHOD.
        gamma: the smoothing of each of their guidances, by METHOD.

    Yields:
        Columns GAMMAS of one gamma; that of ID images is NaN.
    """
    rows = joined((frame.assign(gamma=frame.guidance.map(gamma[name])) for name, frame in variants.items()), GAMMAS)
    for guidance, part in rows.groupby("guidance", sort=False):
        edges = edges_of([of.energy, part.energy], bins)
        for value, energies in [(np.nan, of.energy), *part.groupby("gamma").energy]:
            yield density_of(energies, edges, {"guidance": guidance, "gamma": value}, "energy")[list(GAMMAS)]


def edges_of(groups: list, bins: int) -> NDArray[np.float64]:
    """Equal bins that hold all but the outermost half a percent on each side."""
    low, high = np.quantile(np.concatenate(groups), [0.005, 0.995])
    return np.linspace(low, high if high > low else low + 1, bins + 1)


def density_of(values: NDArray, edges: NDArray[np.float64], key: dict, name: str) -> pd.DataFrame:
    """Rows of a histogram: the columns of `key`, the centre of each bin under `name`, and its density."""
    density = np.histogram(values, edges)[0] / (len(values) * np.diff(edges))
    return pd.DataFrame(key | {name: (edges[1:] + edges[:-1]) / 2, "density": density})


def features(variants: Frames, of: Known, points: int) -> pd.DataFrame:
    """A map in two dimensions of the features of ID training images and candidates: t-SNE (van der Maaten and Hinton 2008; Fig. 9 b).

    One thread, a fixed seed and PCA as the start make it the same again on one machine. The search amplifies last bits, so that another
    machine may draw another map: no committed result depends on it.

    Args:
        variants: columns label, features of data/outliers/METHOD.parquet, by METHOD.
        points: of each variant, and of ID images, at most.

    Returns:
        Columns FEATURES, coordinates to a thousandth; the method of ID images is ID. No rows where there are no variants.
    """
    if not variants:
        return pd.DataFrame(columns=list(FEATURES))
    chosen = {name: frame.iloc[spaced(len(frame), points)] for name, frame in variants.items()}
    rows = spaced(len(of.label), points)
    groups = [(ID, of.label[rows], of.features[rows])]
    groups += [(name, frame.label, unit(np.stack(frame.features.to_list()))) for name, frame in chosen.items()]
    found = pd.concat([pd.DataFrame({"method": name, "label": labels}) for name, labels, _ in groups], ignore_index=True)
    x, y = embedded(np.concatenate([values for *_, values in groups])).round(3).T
    return found.assign(x=x, y=y)


def embedded(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """t-SNE [N, 2] of rows [N, D]."""
    from sklearn.manifold import TSNE  # costs a second
    from threadpoolctl import threadpool_limits

    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    with threadpool_limits(1):
        return TSNE(perplexity=perplexity, init="pca", random_state=0, n_jobs=1).fit_transform(rows).astype(np.float64)
