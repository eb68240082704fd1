"""What guidance made of candidates: GOOD's strengths (Fig. 4 and 7), SONA's stop steps (Fig. 6), the shortcut through the autoencoder."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from penumbra.benchmark.metrics import auroc

STRENGTHS = ("guidance", "rho", "mu", "energy", "knn")  # columns of data/outliers/METHOD.parquet of GOOD's kind
EDITS = ("stop", "distance_l2", "distance_cosine")  # and of SONA's
PROBED = ("energy", "msp", "mcm", "neglabel")  # those that a detector has


def strengths_table(method: str, outliers: pd.DataFrame, id_energy: np.ndarray | None) -> pd.DataFrame:
    """Energy and distance to the k-th neighbour of the candidates of each strength, under the classifier that guided them.

    Args:
        method: synthesis method.
        outliers: columns STRENGTHS of data/outliers/METHOD.parquet.
        id_energy: energies of ID training images under the same classifier, if known.

    Returns:
        Rows method, guidance, rho, mu, count, energy_mean, energy_std, knn_mean, knn_std; the guidance of ID images is "ID train".
    """
    rows = []
    if id_energy is not None:
        key = {"method": method, "guidance": "ID train", "rho": np.nan, "mu": np.nan, "count": len(id_energy)}
        rows.append(key | {"energy_mean": id_energy.mean(), "energy_std": id_energy.std(ddof=1), "knn_mean": np.nan, "knn_std": np.nan})
    for (guidance, rho, mu), part in outliers.groupby(["guidance", "rho", "mu"], sort=False):
        key = {"method": method, "guidance": guidance, "rho": rho, "mu": mu, "count": len(part)}
        moments = {f"{name}_{moment}": part[name].agg(moment) for name in ("energy", "knn") for moment in ("mean", "std")}
        rows.append(key | moments)
    return pd.DataFrame(rows).sort_values(["guidance", "rho", "mu"], kind="stable", na_position="first", ignore_index=True)


def strengths_density(method: str, outliers: pd.DataFrame, id_energy: np.ndarray | None, bins: int) -> pd.DataFrame:
    """Densities of the energy by rho, by mu and over all strengths ("balanced"), for each guidance.

    Returns:
        Rows method, guidance, panel (rho | mu | balanced, or rho = mu | balanced where these do not vary apart), strength,
        energy (centre of a bin), density. Strength -1 are ID images, 0 in panel balanced are all.
    """
    everything = outliers.energy if id_energy is None else np.concatenate([outliers.energy, id_energy])
    low, high = np.quantile(everything, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    frames = []
    for guidance, of_guidance in outliers.groupby("guidance", sort=False):
        apart = len(of_guidance[["rho", "mu"]].drop_duplicates()) > max(of_guidance.rho.nunique(), of_guidance.mu.nunique())
        panels = {name: of_guidance.groupby(name) for name in ("rho", "mu")} if apart else {"rho = mu": of_guidance.groupby("rho")}
        panels["balanced"] = [(0.0, of_guidance)]
        for panel, parts in panels.items():
            curves = [] if id_energy is None else [(-1.0, id_energy)]
            curves += [(strength, part.energy.to_numpy()) for strength, part in parts]
            for strength, values in curves:
                density = np.histogram(values, edges)[0] / (len(values) * np.diff(edges))
                key = {"method": method, "guidance": guidance, "panel": panel, "strength": strength}
                frames.append(pd.DataFrame(key | {"energy": (edges[1:] + edges[:-1]) / 2, "density": density}))
    return pd.concat(frames, ignore_index=True)


def energy_of_features(features: Path, classifier: Path) -> np.ndarray:
    """Free energies [N] of the ID training images under the classifier, from its saved features and its last layer.

    Args:
        features: data/features/classifier.safetensors.
        classifier: data/models/classifier.
    """
    from safetensors.numpy import load_file

    last = load_file(classifier / "model.safetensors")
    logits = load_file(features)["features"].astype(np.float64) @ last["fc.weight"].T.astype(np.float64) + last["fc.bias"]
    return -np.logaddexp.reduce(logits, axis=1)


def edits_table(method: str, outliers: pd.DataFrame) -> pd.DataFrame:
    """Feature distance of edited images from their source by stop step: rows method, stop, count, l2_mean, l2_std, cosine_mean, ..."""
    by_stop = outliers.groupby("stop")[list(EDITS[1:])].agg(["mean", "std"])
    by_stop.columns = [f"{name.removeprefix('distance_')}_{moment}" for name, moment in by_stop.columns]
    by_stop.insert(0, "count", outliers.groupby("stop").size())
    return by_stop.reset_index().assign(method=method)[["method", "stop", *by_stop.columns]]


def probe_by_seed(control: str, probe: pd.DataFrame, scores: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The shortcut probe: AUROC between ID test images and their round trip through an autoencoder.

    0.5 means that the detector does not see the autoencoder; 1 that it takes every round trip for OOD.

    Args:
        control: whose autoencoder.
        probe: rows of data/probes/CONTROL.parquet.
        scores: rows of data/scores/DETECTOR.parquet by detector.

    Returns:
        Rows detector, control, score, count (of round trips), seed, auroc, accuracy (of their classes).
    """
    rows = []
    for (detector, seed), made in probe.groupby(["detector", "seed"], sort=False):
        if detector not in scores:
            continue
        of_seed = scores[detector][scores[detector].seed == seed]
        real = of_seed[of_seed.group == "id"]
        for score in [name for name in PROBED if name in real and made[name].notna().all()]:
            key = {"detector": detector, "control": control, "score": score, "count": len(made), "seed": seed}
            accuracy = (made.predicted == made.label).mean()
            rows.append(key | {"auroc": auroc(made[score].to_numpy(), real[score].to_numpy()), "accuracy": accuracy})
    return pd.DataFrame(rows, columns=["detector", "control", "score", "count", "seed", "auroc", "accuracy"])
