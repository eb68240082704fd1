"""GOOD: what each strength of its guidance makes of the candidates (Fig. 4 and 7), and what overlays ask of them (Fig. 9 and 10)."""

from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from penumbra.benchmark import guided
from penumbra.benchmark.claims import Claim, Measured, compare
from penumbra.benchmark.found import Found, Frames, joined
from penumbra.stage import Stage

COLUMNS = ("guidance", "rho", "mu", "energy", "knn", "features")
UNIFIED_CURVES = True  # Fig. 6 b and c, Fig. 8


def tables(stage: Stage, found: Found, made: Frames) -> tuple[Frames, Frames]:
    """Numbers and densities by strength, beside those of ID training images."""
    candidates = found.of("good")
    id_energy = energy_of_features(stage.read("features") / "classifier.safetensors", stage.read("models") / "classifier")
    bins = max(stage.params.benchmark.bins // 2, 1)
    strengths = (strengths_table(name, frame, id_energy) for name, frame in candidates.items())
    densities = (strengths_density(name, frame, id_energy, bins) for name, frame in candidates.items())
    measured = ("energy_mean", "energy_std", "knn_mean", "knn_std")
    table = joined(strengths, ["method", "guidance", "rho", "mu", "count", *measured])
    drawn = {"strengths": joined(densities, ["method", "guidance", "panel", "strength", "energy", "density"])}
    return {"strengths": table}, drawn | guided.plots(stage, candidates, id_energy)


def strengths_table(method: str, outliers: pd.DataFrame, id_energy: np.ndarray | None) -> pd.DataFrame:
    """Energy and distance to the k-th neighbour of the candidates of each strength, under the classifier that guided them.

    Args:
        method: synthesis method.
        outliers: columns guidance, rho, mu, energy, knn of data/outliers/METHOD.parquet.
        id_energy: energies of ID training images under the same classifier, if known.

    Returns:
        Rows method, guidance, rho, mu, count, energy_mean, energy_std, knn_mean, knn_std; the guidance of ID images is "ID train".
    """
    rows = []
    if id_energy is not None:
        key = {"method": method, "guidance": guided.ID, "rho": np.nan, "mu": np.nan, "count": len(id_energy)}
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
    edges = guided.edges_of([outliers.energy] if id_energy is None else [outliers.energy, id_energy], bins)
    frames = []
    for guidance, of_guidance in outliers.groupby("guidance", sort=False):
        names = ("rho", "mu") if guided.apart(of_guidance) else ("rho",)
        panels = {name if len(names) > 1 else "rho = mu": of_guidance.groupby(name) for name in names}
        panels["balanced"] = [(0.0, of_guidance)]
        for panel, parts in panels.items():
            curves = [] if id_energy is None else [(-1.0, id_energy)]
            curves += [(strength, part.energy.to_numpy()) for strength, part in parts]
            for strength, values in curves:
                key = {"method": method, "guidance": guidance, "panel": panel, "strength": strength}
                frames.append(guided.density_of(values, edges, key, "energy"))
    return pd.concat(frames, ignore_index=True)


def energy_of_features(features: Path, classifier: Path) -> np.ndarray:
    """Free energies [N] of the ID training images under the classifier, from its saved features and its last layer.

    The last layer is found by its shape, since networks call it by several names: it is the last matrix that takes features.

    Args:
        features: data/features/classifier.safetensors.
        classifier: data/models/classifier.
    """
    saved, inputs = load_file(classifier / "model.safetensors"), load_file(features)["features"].astype(np.float64)
    last = [name for name, values in saved.items() if values.ndim == 2 and values.shape[1] == inputs.shape[1]][-1].removesuffix("weight")
    return -np.logaddexp.reduce(inputs @ saved[f"{last}weight"].T.astype(np.float64) + saved[f"{last}bias"], axis=1)


def strength(claim: Claim, measured: Measured) -> list[dict]:
    """The greatest strength of a variant against the least, along rho, along mu, for each guidance; spread = standard error of the mean."""
    table, rows = measured.tables["strengths"], []
    for guidance, along, measure in (("image", "rho", "energy"), ("image", "mu", "energy"), ("feature", "rho", "knn")):
        chosen = table[(table.method == claim.of) & (table.guidance == guidance)]
        together = (chosen.rho == chosen.mu).all()
        if chosen[along].nunique() < 2 or (together and along == "mu"):
            continue
        ends = {"least": chosen[along].min(), "greatest": chosen[along].max()}
        pair = [_pooled(chosen[chosen[along] == ends[end]], measure) for end in (claim.better, claim.worse)]
        text = claim.text.format(strength="rho = mu" if together else along, guidance=guidance)
        key = {"claim": text, "measure": {"energy": "energy", "knn": "k-NN distance"}[measure], "spread": "standard error"}
        rows.append(key | compare(*pair))
    return rows


def of_candidates(claim: Claim, measured: Measured) -> list[dict]:
    """Two variants, by the mean energy and the mean k-NN distance of their candidates; spread = standard error of the mean."""
    table, rows = measured.tables["strengths"], []
    pair = [table[(table.method == variant) & (table.guidance != guided.ID)] for variant in (claim.better, claim.worse)]
    if any(part.empty for part in pair):
        return []
    for measure, name in {"energy": "energy", "knn": "k-NN distance"}.items():
        rows.append({"measure": name, "spread": "standard error"} | compare(*(_pooled(part, measure) for part in pair)))
    return rows


def _pooled(cells: pd.DataFrame, measure: str) -> tuple[float, float]:
    """Mean and its standard error over all candidates of some rows of tables/strengths.csv."""
    n, means, stds = cells["count"], cells[f"{measure}_mean"], cells[f"{measure}_std"].fillna(0)
    total, mean = n.sum(), (n * means).sum() / n.sum()
    squares = ((n - 1) * stds**2 + n * (means - mean) ** 2).sum()
    return float(mean), float(np.sqrt(squares / (total - 1) / total)) if total > 1 else float("nan")


COMPARISONS = {"strength": strength, "candidates": of_candidates}
