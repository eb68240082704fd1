"""Made-up candidates of each method in the real layout, and what a judge says of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from penumbra.artifacts.images import ImageWriter, encode
from penumbra.artifacts.tables import write_parquet

STRENGTHS = {"image": [(rho, mu) for rho in (0.1, 1.0, 5.0) for mu in (0.1, 1.0, 5.0)], "feature": [(0.2, 0.2), (1.0, 1.0), (4.0, 4.0)]}
COPIES = 2  # samples of each class at each strength


def _selection(method: str, sample_ids: list[str], rng: np.random.Generator) -> pd.DataFrame:
    confidence = rng.uniform(0, 1, len(sample_ids))
    selection = pd.DataFrame({"sample_id": sample_ids, "score": np.log(confidence / (1 - confidence))})
    selection["confidence"] = confidence
    for power, name in enumerate(("beta", "temperature", "platt", "isotonic"), start=1):
        selection[f"confidence_{name}"] = confidence**power
    selection["band"] = np.array(["low", "mid", "high"])[np.searchsorted([0.3, 0.5], confidence, side="right")]
    for judge in range(2):
        selection[f"band_{judge}"] = selection.band.where(rng.random(len(confidence)) < 0.7, "mid")
    upper, third = selection.confidence.between(0.5, 0.7, inclusive="left"), selection.score.rank(pct=True).between(1 / 3, 2 / 3)
    return selection.assign(upper=upper, third=third, accepted=confidence < 0.2, class_kept=confidence < 0.6)


def write_candidates(data: Path, method: str, rng: np.random.Generator, count: int = 180) -> None:
    selection = _selection(method, [f"{method}/{i // 3:06d}-{i % 3}" for i in range(count)], rng)
    confidence = selection.confidence
    write_parquet(data / f"selections/{method}.parquet", selection, {"stage": f"filter@{method}"})

    distances = {name: pa.float32() for name in ("distance_l2", "distance_cosine", "distance_mse", "distance_unit_l2")}
    columns = {"sample_id": pa.string(), "source_id": pa.string(), "label": pa.int64(), "scale": pa.float32()}
    columns |= dict.fromkeys(("displacement", "minority_before", "minority_after"), pa.float32()) | distances
    path = data / f"outliers/{method}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    with ImageWriter(path, columns, {"stage": f"synthesize@{method}", "versions": {"torch": "2.13.0"}}) as writer:
        for i, sample_id in enumerate(selection.sample_id):
            far = confidence[i] + rng.normal(0, 0.1)
            pixels = rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)
            columns = {"sample_id": sample_id, "source_id": f"train/{i // 3:06d}", "label": i % 6, "scale": 0.025 * (i % 3 + 1)}
            columns |= {"displacement": 2.0 + i % 3, "minority_before": 1.0, "minority_after": 1.0 + far}
            writer.add(encode(pixels), **columns, **dict.fromkeys(distances, far))


def write_guided(path: Path, rng: np.random.Generator) -> None:
    """Samples of GOOD at every strength: the stronger, the brighter."""
    columns = dict.fromkeys(("sample_id", "source_id", "prompt", "guidance"), pa.string()) | {"label": pa.int64(), "predicted": pa.int64()}
    columns |= dict.fromkeys(("rho", "mu"), pa.float64()) | dict.fromkeys(("energy", "knn"), pa.float32())
    columns |= {"cam": pa.list_(pa.float32()), "cam_size": pa.int64(), "seed": pa.int64()}
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [(guidance, *cell, i) for guidance, of_guidance in STRENGTHS.items() for cell in of_guidance for i in range(6 * COPIES)]
    with ImageWriter(path, columns, {"stage": "synthesize@good", "versions": {"diffusers": "0.38"}}) as writer:
        for place, (guidance, rho, mu, i) in enumerate(cells):
            energy = -8 + np.log1p(rho) + 0.5 * np.log1p(mu) + rng.normal(0, 0.5)
            pixels = rng.integers(0, 60 + int(30 * rho), (32, 32, 3)).astype(np.uint8)
            pixels[8:24, 8 + i : 12 + i] = 255
            row = {"sample_id": f"good/{place:06d}", "source_id": "", "label": i // COPIES, "predicted": i // COPIES, "seed": 0}
            row |= {"prompt": f"a high-quality image of {i // COPIES}", "guidance": guidance, "rho": rho, "mu": mu}
            row |= {"energy": energy, "knn": 0.3 + 0.02 * rho, "cam": rng.random(16).tolist(), "cam_size": 4}
            writer.add(encode(pixels), **row)


def write_edited(data: Path, rng: np.random.Generator, count: int = 60) -> None:
    """Edits of SONA, one for each training image; the first few keep their masks and path."""
    columns = dict.fromkeys(("sample_id", "source_id", "word", "split"), pa.string()) | {"label": pa.int64(), "stop": pa.int64()}
    columns |= dict.fromkeys(("distance_l2", "distance_cosine"), pa.float32()) | {"masks": pa.binary(), "path": pa.binary()}
    selection = _selection("sona", [f"sona/{i:06d}" for i in range(count)], rng)
    write_parquet(data / "selections/sona.parquet", selection, {"stage": "filter@sona"})
    with ImageWriter(data / "outliers/sona.parquet", columns, {"stage": "synthesize@sona", "versions": {}}) as writer:
        for i, sample_id in enumerate(selection.sample_id):
            strip = {
                name: encode(rng.integers(0, 255, (32 * rows, 32 * tiles, 3)).astype(np.uint8)) if i < 5 else None
                for name, rows, tiles in (("masks", min(3, 1 + i), 3), ("path", 1, min(6, 1 + i)))
            }
            row = {"sample_id": sample_id, "source_id": f"train/{i:06d}", "word": "the letter C", "split": "train", "label": i % 6}
            row |= {"stop": 1 + i % 20, "distance_l2": 5 + 0.2 * (i % 20) + rng.normal(0, 1), "distance_cosine": 0.1 + 0.01 * (i % 20)}
            writer.add(encode(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)), **row, **strip)


def write_repainted(data: Path, rng: np.random.Generator, count: int = 60) -> None:
    """Images of SynOOD, whose energy mostly rises over the iterations; the first few keep the images of all iterations."""
    columns = dict.fromkeys(("sample_id", "source_id", "split", "prompt", "context"), pa.string()) | {"label": pa.int64()}
    columns |= {"complexity": pa.float32(), "distance_l2": pa.float32(), "seed": pa.int64(), "frames": pa.binary()}
    columns |= dict.fromkeys(("energies", "loss"), pa.list_(pa.float32()))
    selection = _selection("synood", [f"synood/{i:06d}" for i in range(count)], rng)
    write_parquet(data / "selections/synood.parquet", selection, {"stage": "filter@synood"})
    with ImageWriter(data / "outliers/synood.parquet", columns, {"stage": "synthesize@synood", "versions": {}}) as writer:
        for i, sample_id in enumerate(selection.sample_id):
            energies = np.sort(rng.normal(-8, 1, 3)) if i % 10 else np.sort(rng.normal(-8, 1, 3))[::-1]
            row = {"sample_id": sample_id, "source_id": f"train/{i:06d}", "label": i % 6, "split": "train", "seed": 0, "complexity": 0.5}
            row |= {"prompt": "a photo of the letter C, blobs", "context": "the letter C, blobs", "energies": energies.tolist()}
            row |= {"loss": ((-5 - energies) ** 2).tolist(), "distance_l2": 4 + rng.normal()}
            row["frames"] = encode(rng.integers(0, 255, (32, 96, 3)).astype(np.uint8)) if i < 5 else None
            writer.add(encode(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8), jpeg=75), **row)
