"""Made-up results of a digits experiment in the real layout: what benchmark and report read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from penumbra.artifacts.images import ImageWriter, encode
from penumbra.artifacts.tables import write_json, write_parquet
from penumbra.stage import Params, Stage

DETECTORS = {
    "none": {"bands": None},
    "badood-all": {"bands": "all"},
    "badood-random": {"bands": "random"},
    "badood-high": {"bands": ["mid", "high"]},
    "badood-mid": {"bands": ["mid"]},
    "badood-low": {"bands": ["low", "mid"]},
    "badood-gaussian-mid": {"bands": ["mid"]},
}
METHODS = ("badood", "badood-gaussian")
SETS = {"digits-6-9": ("near", 1.5), "photos": ("far", 3.0), "textures": ("far", 2.5), "noise": ("far", 4.0)}
KINDS = ("rotation", "blur", "contrast", "noise")
RECIPE = {"architecture": "resnet18", "width": 16, "epochs": 15, "batch_size": 128, "beta": 2.0, "seeds": [0, 1, 2]}
PARAMS = {
    "common": {"seed": 0, "image_size": 32},
    "train": {"detectors": DETECTORS, "recipes": {"energy": RECIPE}},
    "pretrain": {"encoder": {"patch_size": 4, "width": 96, "depth": 4, "projection": 64}},
    "synthesize": {method: {"t": 300, "s": 125} for method in METHODS},
    "score": {"knn_k": 50},
    "report": {"gallery": 24},
    "filter": {method: {"mid": [0.3, 0.5]} for method in METHODS},
    "benchmark": {"score": "energy", "bins": 20, "distance_samples": 100},
}
TABLES = ("detectors", "scores", "bands", "calibrators", "distances", "shift", "claims")
FIGURES = ("bands", "roc", "energy", "reliability", "confidence", "distances", "shift", "gallery", "dag")
PLOTS = ("roc", "energy", "reliability", "confidence", "shift")


def write_inputs(data: Path) -> None:
    """Fill `data` with every file that benchmark and report read."""
    for place, detector in enumerate(DETECTORS):
        write_parquet(
            data / f"scores/{detector}.parquet", scores(np.random.default_rng(place), gain=1 + 0.2 * place), {"stage": f"score@{detector}"}
        )
    for place, method in enumerate(METHODS):
        _write_candidates(data, method, np.random.default_rng(100 + place))
    write_json(data / "calibration/badood.json", calibration())
    _write_images(data / "images/train.parquet", [(f"train/{i:06d}", "id-train", "id", 0) for i in range(60)])
    shifted = [(f"shifted/{kind}/{strength}", kind, "shift", strength) for kind in KINDS for strength in range(1, 9)]
    _write_images(data / "images/shifted.parquet", shifted)
    (data / "models/mage").mkdir(parents=True)
    (data / "models/mage/history.csv").write_text("model,epoch,loss,validation\nvqgan,1,2.5,\nmage,1,1.25,1.5\n")
    (data.parent / "dag.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')


def scores(rng: np.random.Generator, gain: float = 1.0, images: int = 40) -> pd.DataFrame:
    """Scores of one detector with three seeds; OOD scores are `gain` times farther from ID than by default."""
    parts = [("id-test", "id", 0, 0.0)]
    parts += [(name, group, 0, gain * distance) for name, (group, distance) in SETS.items()]
    parts += [(kind, "shift", strength, 0.3 * strength) for kind in KINDS for strength in range(1, 9)]
    frames = []
    for seed in range(3):
        for name, group, strength, centre in parts:
            energy = rng.normal(centre, 1, images).astype(np.float32)
            label = rng.integers(0, 6, images) if group in ("id", "shift") else np.full(images, -1)
            frames.append(
                pd.DataFrame(
                    {
                        "seed": seed,
                        "sample_id": [f"{name}/{strength}/{i:06d}" for i in range(images)],
                        "set": name,
                        "group": group,
                        "strength": strength,
                        "label": label,
                        "predicted": np.where(rng.random(images) < 0.9, np.maximum(label, 0), 5),
                        "msp": -1 / (1 + np.exp(energy)),
                        "max_logit": energy.round(1),
                        "energy": energy,
                        "knn": energy + rng.normal(0, 1, images),
                        "confidence": 1 / (1 + np.exp(-energy + 1.5)),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def calibration() -> dict:
    """The content of data/calibration/METHOD.json."""
    names = ("uncalibrated", "beta", "temperature", "platt", "isotonic")
    points = [{"confidence": (i + 0.5) / 10, "frequency": min(1.0, (i + 0.8) / 10), "count": 10 * i} for i in range(10)]
    return {
        "score": "energy",
        "calibrator": "beta",
        "calibrators": {"beta": {"a": 1.1, "b": 0.9, "c": 0.2}},
        "measures": {name: {"ece": 0.02 * (i + 1), "brier": 0.1, "nll": 0.3 + 0.01 * i} for i, name in enumerate(names)},
        "reliability": {name: points for name in names},
        "provenance": {"stage": "calibrate@badood", "params": {}, "versions": {"scipy": "1.15"}},
    }


def _write_candidates(data: Path, method: str, rng: np.random.Generator, count: int = 180) -> None:
    confidence = rng.uniform(0, 1, count)
    selection = pd.DataFrame(
        {"sample_id": [f"{method}/{i // 3:06d}-{i % 3}" for i in range(count)], "score": np.log(confidence / (1 - confidence))}
    )
    selection["confidence"] = confidence
    for power, name in enumerate(("beta", "temperature", "platt", "isotonic"), start=1):
        selection[f"confidence_{name}"] = confidence**power
    selection["band"] = np.array(["low", "mid", "high"])[np.searchsorted([0.3, 0.5], confidence, side="right")]
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


def _write_images(path: Path, rows: list[tuple[str, str, str, int]]) -> None:
    """Bars in place of digits; rows are (sample_id, set, group, strength)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"sample_id": pa.string(), "source_id": pa.string(), "set": pa.string(), "group": pa.string(), "strength": pa.int64()}
    with ImageWriter(path, columns, {"stage": "prepare", "versions": {"pillow": "12"}}) as writer:
        for i, (sample_id, name, group, strength) in enumerate(rows):
            pixels = np.zeros((32, 32, 3), np.uint8)
            pixels[4:28, 4 + i % 20 : 8 + i % 20] = 255
            writer.add(encode(pixels), sample_id=sample_id, source_id="digits/0", set=name, group=group, strength=strength)


def benchmark_stage(data: Path, reports: Path) -> Stage:
    """The benchmark stage, as dvc.yaml declares it."""
    reads = {f"scores/{name}": data / f"scores/{name}.parquet" for name in DETECTORS}
    for method in METHODS:
        reads |= {f"{kind}/{method}": data / f"{kind}/{method}.parquet" for kind in ("selections", "outliers")}
    reads["calibration/badood"] = data / "calibration/badood.json"
    writes = {"metrics": reports / "metrics.json"}
    writes |= {f"tables/{name}": reports / f"tables/{name}.csv" for name in TABLES}
    writes |= {f"plots/{name}": reports / f"plots/{name}.csv" for name in PLOTS}
    return Stage("benchmark", None, Params(PARAMS), {"numpy": "2"}, reads, writes, scratch_root=reports.parent / "scratch")


def report_stage(data: Path, results: Path, reports: Path) -> Stage:
    """The report stage over the files of `benchmark_stage` in `results`, as dvc.yaml declares it."""
    reads = {f"images/{name}": data / f"images/{name}.parquet" for name in ("train", "shifted")}
    for method in METHODS:
        reads |= {f"{kind}/{method}": data / f"{kind}/{method}.parquet" for kind in ("selections", "outliers")}
    reads |= {"models/mage": data / "models/mage", "docs/dag": data.parent / "dag.svg"}
    reads |= {f"tables/{name}": results / f"tables/{name}.csv" for name in TABLES}
    reads |= {f"plots/{name}": results / f"plots/{name}.csv" for name in PLOTS}
    writes = {"report": reports / "report.html", "figures": reports / "figures"}
    return Stage("report", None, Params(PARAMS), {"matplotlib": "3.11"}, reads, writes, scratch_root=reports.parent / "scratch")
