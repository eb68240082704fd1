"""Made-up results of a digits experiment in the real layout: what benchmark and report read."""

import copy
import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from ruamel.yaml import YAML
from safetensors.numpy import save_file

from penumbra.artifacts.images import ImageWriter, encode
from penumbra.artifacts.tables import write_csv, write_json, write_parquet
from penumbra.benchmark import study
from penumbra.benchmark.step import main as run_benchmark
from penumbra.experiment.differences import expand
from penumbra.experiment.load import load
from penumbra.experiment.schema import Experiment
from penumbra.stage import Stage
from penumbra.workflow import contract
from penumbra.workflow.composition import compose
from shared_folders import filled
from synthetic_candidates import write_candidates, write_edited, write_guided, write_repainted
from synthetic_models import write_classifier, write_samples

ROOT = Path(__file__).parents[1]
GIVEN = load(ROOT / "params.yaml")
DETECTORS = GIVEN["train"]["detectors"]
CLIP = ("clip", "clip-synood")
METHODS = ("badood", "badood-gaussian", "good", "sona", "synood")
SELECTED = ("badood", "badood-gaussian", "sona", "synood")  # methods with a selection
NAMES = ("zero", "one", "two", "three", "four", "five")  # of the ID classes
SETS = {"mnist-6-9": ("near", 1.5), "photos": ("far", 3.0), "textures": ("far", 2.5), "noise": ("far", 4.0)}
KINDS = ("rotation", "blur", "contrast", "noise")
KNN_MORE = [10, 100]
ABLATIONS = {
    "weight": {
        "title": "Weight of the loss",
        "source": "GOOD, Fig. 6 a",
        "scores": ["energy", "per-set"],
        "variants": {"badood-all": "1", "good-all": "2.5", "badood-mid": "10"},
    },
    "stop": {
        "title": "Stop step",
        "source": "SONA, Fig. 6",
        "scores": ["energy"],
        "variants": {"sona-all": "SONA, random", "sona-none": "SONA 5", "good-none": "SONA 10", "badood-gaussian-mid": "SDEdit 5"},
    },
    "words": {"title": "Words", "source": "SONA, Table 2", "scores": ["energy"], "variants": {"none": "none at all", "sona-all": "random"}},
    "amount": {
        "title": "Amount of synthetic data",
        "source": "SynOOD, Fig. 3",
        "scores": ["neglabel"],
        "variants": {"clip": "projected 100", "clip-synood": "tuned 100"},
    },
}
PARAMS = {  # what is not as in params.yaml
    "pretrain.inpainting.sd.pipeline": "someone/inpainting",
    "filter": {method: GIVEN["filter"][method] for method in SELECTED},
    "score.knn_more": KNN_MORE,
    "benchmark.bins": 20,
    "benchmark.unified.a_grid": [0.1, 0.5, 2.0],
    "benchmark.ablations": ABLATIONS,
}
TABLES = ("detectors", "scores", "bands", "calibrators", "distances", "shift", "claims", "unified", "strengths", "edits", "probe")
TABLES += ("types", "diversity", "ablations", "agreement", "pairs", "seeds")
FIGURES = ("bands", "roc", "headline", "reliability", "confidence", "distances", "shift", "dag")
FIGURES += ("strengths", "strength-grid", "edits", "unified", "scores", "good-strengths", "good-cams", "sona-edits")
FIGURES += ("synood-pairs", "energies", "types", "types-candidates", "convergence", "study")
FIGURES += ("ablation-weight", "ablation-stop", "ablation-amount")
FIGURES += tuple(f"{method}-gallery" for method in SELECTED)
PLOTS = ("roc", "headline", "reliability", "confidence", "shift", "unified", "strengths")


def write_inputs(data: Path) -> None:
    """Fill `data` with every file that benchmark and report read."""
    (data / "features").mkdir(parents=True)
    for place, detector in enumerate(DETECTORS):
        made = scores(np.random.default_rng(place), gain=1 + 0.2 * min(place, 8), clip=detector in CLIP)
        write_parquet(data / f"scores/{detector}.parquet", made, {"stage": f"score@{detector}"})
    for place, (control, shift) in enumerate({"reconstruction": 0.5, "repainting": 1.5}.items()):
        write_parquet(data / f"probes/{control}.parquet", _probe(np.random.default_rng(700 + place), shift), {})
    for place, method in enumerate(("badood", "badood-gaussian")):
        write_candidates(data, method, np.random.default_rng(100 + place))
    write_guided(data / "outliers/good.parquet", np.random.default_rng(200))
    write_edited(data, np.random.default_rng(300))
    write_repainted(data, np.random.default_rng(500))
    _write_clip(data, np.random.default_rng(600))
    write_classifier(data, np.random.default_rng(400))
    write_samples(data / "models/diffusion", ["a zero"] * 8 + ["a one"] * 8 + ["the letter C", "the letter D"] + [""] * 16)
    write_samples(data / "models/inpainting", ["a zero"] * 4, ["original", "masked", "repainted", "drawn"])
    write_json(data / "calibration/none.json", calibration())
    _write_images(data / "images/train.parquet", [(f"train/{i:06d}", "id-train", "id", 0) for i in range(60)])
    shifted = [(f"shifted/{kind}/{strength}", kind, "shift", strength) for kind in KINDS for strength in range(1, 9)]
    _write_images(data / "images/shifted.parquet", shifted)
    write_parquet(data / "outliers/none.parquet", pd.DataFrame({"sample_id": pd.Series([], dtype=str)}), {"stage": "synthesize@none"})
    (data / "models/mage").mkdir(parents=True)
    (data / "models/mage/history.csv").write_text("model,epoch,loss,val_perplexity,steps\nvqgan,1,2.5,,1234\nmage,1,1.25,1.5,56\n")
    for detector in DETECTORS:
        epochs = [f"{seed},{epoch},{1 / epoch},0.9,{40 * epoch}" for seed in range(3) for epoch in (1, 2)]
        (data / f"detectors/{detector}").mkdir(parents=True)
        (data / f"detectors/{detector}/history.csv").write_text("\n".join(["seed,epoch,loss,val_accuracy,steps", *epochs]))


def scores(rng: np.random.Generator, gain: float = 1.0, images: int = 40, clip: bool = False) -> pd.DataFrame:
    """Scores of one detector with three seeds; OOD scores are `gain` times farther from ID than by default. `clip`: of a CLIP detector."""
    parts = [("id-test", "id", 0, 0.0)]
    parts += [(name, group, 0, gain * distance) for name, (group, distance) in SETS.items()]
    parts += [(kind, "shift", strength, 0.3 * strength) for kind in KINDS for strength in range(1, 9)]
    parts += [("id-val", "val", 0, 0.0)]
    frames = []
    for seed in range(3):
        for name, group, strength, centre in parts:
            energy = rng.normal(centre, 1, images).astype(np.float32)
            label = rng.integers(0, 6, images) if group not in ("near", "far") else np.full(images, -1)
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
                        "knn": 0.5 + 0.1 * energy + rng.normal(0, 0.1, images),
                        "confidence": 1 / (1 + np.exp(-energy + 1.5)),
                        **{f"knn_{k}": 0.5 + 0.1 * energy + rng.normal(0, 0.1, images) for k in KNN_MORE},
                        "vim": 2 * energy,  # which ranks alike
                        **({"mcm": -1 / (1 + np.exp(energy + rng.normal(0, 2, images)))} if clip else {}),
                        **({"neglabel": -1 / (1 + np.exp(2 * energy + rng.normal(0, 0.1, images)))} if clip else {}),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def _probe(rng: np.random.Generator, centre: float, images: int = 40) -> pd.DataFrame:
    """Scores of round trips of ID test images by every detector."""
    frames = []
    for detector in DETECTORS:
        for seed in range(3):
            energy, label = rng.normal(centre, 1, images), rng.integers(0, 6, images)
            clip = -1 / (1 + np.exp(energy)) if detector in CLIP else np.full(images, np.nan)
            made = {"sample_id": [f"id-test/0/{i:06d}" for i in range(images)], "label": label, "predicted": label}
            made |= {"energy": energy, "msp": -1 / (1 + np.exp(energy)), "mcm": clip, "neglabel": clip}
            frames.append(pd.DataFrame({"detector": detector, "seed": seed, **made}))
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
        "provenance": {"stage": "calibrate@none", "params": {}, "versions": {"scipy": "1.15"}},
    }


def _write_clip(data: Path, rng: np.random.Generator, width: int = 16) -> None:
    """CLIP features of texts, ID images and candidates: as many candidates are their own class as another, a few are nothing."""
    texts = rng.normal(0, 1, (6 + 8, width)).astype(np.float32)
    words = [{"word": f"letter {c}", "prompt": f"the nice letter {c}", "kind": "noun", "closeness": 0.1} for c in "CDFGJLNP"]
    metadata = {"sample_ids": [], "provenance": {}, "logit_scale": 100.0, "id_names": list(NAMES), "negatives": words}
    tensors = {"id": texts[:6], "mcm": texts[:6], "negative": texts[6:]}
    save_file(tensors, data / "features/negatives.safetensors", {"penumbra": json.dumps(metadata)})
    label = np.arange(60) % 6
    near = {name: texts[label] + rng.normal(0, 0.3, (60, width)).astype(np.float32) for name in ("train", "val")}
    save_file(near | {"train_label": label}, data / "features/clip.safetensors", {"penumbra": json.dumps({"sample_ids": []})})
    (data / "features/candidates").mkdir()
    for method in METHODS:
        ids = pd.read_parquet(data / f"outliers/{method}.parquet", columns=["sample_id", "label"])
        own = ids.label.to_numpy()
        seen = np.choose(np.arange(len(ids)) % 4, [own, own, (own + 1) % 6, 6 + own])
        features = 3 * (texts[seen] + rng.normal(0, 0.3, (len(ids), width))).astype(np.float32)
        features[::20] = rng.normal(0, 1, (len(features[::20]), width))
        rows = {"features": features, "source": np.full(len(ids), -1), "test": np.zeros(len(ids), np.uint8)}
        save_file(
            rows, data / f"features/candidates/{method}.safetensors", {"penumbra": json.dumps({"sample_ids": ids.sample_id.tolist()})}
        )
    contexts = pd.DataFrame({"sample_id": [f"train/{i:06d}" for i in range(60)], "class": [NAMES[i % 6] for i in range(60)]})
    write_csv(data / "features/contexts.csv", contexts.assign(labels="the letter C, blobs", answer="The letter C; blobs."))


def _write_images(path: Path, rows: list[tuple[str, str, str, int]]) -> None:
    """Bars in place of digits; rows are (sample_id, set, group, strength)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = dict.fromkeys(("sample_id", "source_id", "set", "group", "class"), pa.string()) | {"strength": pa.int64()}
    with ImageWriter(path, columns, {"stage": "prepare", "versions": {"pillow": "12"}, "classes": NAMES}) as writer:
        for i, (sample_id, name, group, strength) in enumerate(rows):
            pixels = np.zeros((32, 32, 3), np.uint8)
            pixels[4:28, 4 + i % 20 : 8 + i % 20] = 255
            writer.add(
                encode(pixels),
                sample_id=sample_id,
                source_id="digits/0",
                set=name,
                group=group,
                strength=strength,
                **{"class": NAMES[i % 6]},
            )


def experiment(changes: Mapping[str, Any], name: str | None = None) -> Experiment:
    """The experiment `name` of conf/, or params.yaml with PARAMS; with other changes: values by dotted key."""
    content = compose(ROOT / "conf", [f"experiment={name}"]) if name else copy.deepcopy(GIVEN)
    for key, value in ({"score.knn_more": KNN_MORE} if name else PARAMS | dict(changes)).items():
        *parents, last = key.split(".")
        section = content
        for parent in parents:
            section = section[parent]
        section[last] = copy.deepcopy(value)  # a later key may lie in it
    return Experiment.model_validate(expand(content))


def _stage(step: str, data: Path, reports: Path, changes: Mapping[str, Any], name: str | None) -> Stage:
    """A stage as dvc.yaml declares it, over the files beside `data`, with outputs in `reports`."""
    declared = declarations()[step]
    keys = tuple(key for key in declared["params"] if isinstance(key, str))
    outputs = [path for kind in ("metrics", "outs", "plots") for path in paths(declared.get(kind, []))]
    entry = contract.Entry(step, tuple(declared["deps"]), tuple(outputs), keys, ())
    stage = contract.Contract([entry], {}, experiment(changes, name)).stage(entry, digests={"libraries": "numpy 2, matplotlib 3.11"})
    reads = {name: data.parent / path if path.parts[0] == "data" else ROOT / path for name, path in stage.reads.items()}
    reads = {name: reports / name if name in ("tables", "plots") else path for name, path in reads.items()}
    writes = {name: reports / path.relative_to("reports") for name, path in stage.writes.items()}
    return dataclasses.replace(stage, reads=reads, writes=writes, scratch_root=reports.parent / "scratch")


@functools.cache
def declarations() -> dict[str, Any]:
    """The stages of dvc.yaml."""
    return YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]


def paths(outputs: list) -> list[str]:
    """Paths of outputs, with or without options."""
    return [next(iter(each)) if isinstance(each, dict) else each for each in outputs]


def benchmark_stage(data: Path, reports: Path, changes: Mapping[str, Any] = MappingProxyType({}), name: str | None = None) -> Stage:
    """The benchmark stage."""
    return _stage("benchmark", data, reports, changes, name)


def report_stage(
    data: Path,
    results: Path,
    reports: Path,
    changes: Mapping[str, Any] = MappingProxyType({}),
    name: str | None = None,
    study: Path | None = None,
) -> Stage:
    """The report stage over what `benchmark_stage` wrote to `results`, beside a study; None: of `data`."""
    stage = _stage("report", data, reports, changes, name)
    reads = {name: results / name for name in ("tables", "plots")} | {"benchmarks/study": study or studied(data)}
    return dataclasses.replace(stage, reads=stage.reads | reads)


def benchmarked(data: Path) -> Path:
    """Reports of the benchmark stage over `data`, made once; read-only by convention."""
    return filled(data.parent / "benchmarked", lambda folder: run_benchmark(benchmark_stage(data, folder / "reports"))) / "reports"


def studied(data: Path) -> Path:
    """A study of three generator seeds that differ by a constant, made once; read-only by convention."""
    return filled(data.parent / "study", lambda folder: _study(folder, benchmarked(data) / "tables"))


def _study(folder: Path, tables: Path) -> None:
    seeds, pairs = (pd.read_csv(tables / f"{name}.csv", keep_default_na=False, na_values=[""]) for name in ("seeds", "pairs"))
    for seed in range(3):
        run = {"common_seed": seed, "data": "mnist: 0, 1, 2, 3, 4, 5", "state": "a", "kernels": "native", "processor": "one", "seconds": 9}
        moved = seeds.assign(near_auroc=seeds.near_auroc - 0.01 * seed)
        study.add(folder, run, moved, pairs.assign(difference=pairs.difference + 0.01 * (seed - 1)))
    study.merge(folder)
