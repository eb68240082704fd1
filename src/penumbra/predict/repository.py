"""The contents of a detector that lies in its repository."""

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from penumbra.artifacts.detectors import saved_seeds
from penumbra.artifacts.images import read_provenance
from penumbra.artifacts.outputs import IMAGES, Pass, read_keys, read_pass, saved_passes
from penumbra.artifacts.tables import read_json
from penumbra.dataset import data_set
from penumbra.errors import PenumbraError
from penumbra.models.classifiers.detector import load_detector as load_network
from penumbra.predict.contents import FITTED_ON, Contents, mean, thresholds
from penumbra.predict.lock import TABLES, Lock
from penumbra.predict.place import Place
from penumbra.predict.scoring import Scorer
from penumbra.scores import names
from penumbra.scores.base import Bank

PREPROCESSING = (
    "8-bit RGB, upright by EXIF orientation; 16-bit grey scaled so that 65535 is white; transparency composited on black; the central "
    "square, resized bicubically with antialiasing"
)
MEASURES = {"fpr95": "fpr95_id_tpr", "auroc": "auroc", "aupr_in": "aupr_in", "aupr_out": "aupr_out"}  # columns of reports/tables
LABELS = {"labels": "train", "val_labels": "val"}
LIBRARIES = ("penumbra", "torch", "numpy", "safetensors")


def gather(place: Place) -> Contents:
    """Everything that a detector is made of.

    Raises:
        PenumbraError: it has not been trained or asked about the images of the experiment yet, or was trained anew since: names the
            command that does it.
    """
    data, experiment = place.data, place.experiment
    seeds = saved_seeds(data(f"detectors/{place.name}"))
    images = read_provenance(data("images/train.parquet"))  # params.yaml may have been edited since
    made = _made(place, seeds, len(images["classes"]))
    kind = next(iter(made.values())).kind
    keys = read_keys(data(f"outputs/{place.name}/{IMAGES}"))
    labels = {name: torch.from_numpy(keys[file]["label"].to_numpy().copy()) for name, file in LABELS.items()}
    banks = {seed: _bank(of_seed, labels) for seed, of_seed in made.items()}
    scorers = {seed: Scorer(experiment.score, kind, lambda bank=bank: bank) for seed, bank in banks.items()}
    score = experiment.benchmark.clip_score if kind == "clip" else experiment.benchmark.score
    validation = np.sort(mean(scorer(score, scorer.bank.val) for scorer in scorers.values()))
    clip = _clip(place) if kind == "clip" else None
    first, lock = read_json(next(iter(seeds.values())) / "config.json"), Lock(place.root)
    config = {
        "name": place.name,
        "kind": kind,
        "architecture": read_json(clip / "config.json")["model_type"] if clip else _architecture(first),
        "seeds": list(seeds),
        "classes": list(images["classes"]),
        "image_size": images["params"]["common"]["image_size"],
        "preprocessing": PREPROCESSING,
        "score": score,
        "scores": list(names(kind, experiment.score.more)),
        "parameters": experiment.score.model_dump(),
        "calibrators": {str(seed): _calibrator(scorer) for seed, scorer in scorers.items()},
        "thresholds": thresholds(validation),
        "kernels": place.kernels,
        "training": _training(images, keys, first),
        "results": None,
        "license": _license(place.root),
        "versions": {library: version(library) for library in LIBRARIES},
    }
    recorded = lock.made(place.name)
    if recorded is not None and lock.measured(place.name):
        config["results"] = _results(place.root / TABLES, place.name, score)
    return Contents(config, seeds, banks.__getitem__, validation, clip, recorded)


def _made(place: Place, seeds: dict[int, Path], classes: int) -> dict[int, Pass]:
    """What each seed says of the images of the experiment."""
    made = {seed: read_pass(path) for seed, path in saved_passes(place.data(f"outputs/{place.name}")).items()}
    if seeds.keys() != made.keys() or not all(_same(seeds[seed], of_seed, classes) for seed, of_seed in made.items()):
        raise PenumbraError(
            f"data/outputs/{place.name}: is of another training than data/detectors/{place.name} or data/images. "
            f"Run `penumbra repro infer@{place.name}`."
        )
    return made


def _same(directory: Path, made: Pass, classes: int) -> bool:
    """Whether outputs are those of the network in a folder, by its last layer: scores are fitted on them."""
    if made.kind == "clip":
        from penumbra.models.clip_detector import ClipDetector

        weight = ClipDetector.from_pretrained(directory).last_layer()[0]
    else:
        weight = load_network(directory).last_layer.weight
    return len(weight) == classes and weight.shape == made.weight.shape and torch.allclose(weight, made.weight)


def _bank(made: Pass, labels: dict[str, torch.Tensor]) -> Bank:
    outputs = {file: made.outputs[file] for file in FITTED_ON}
    return Bank(**outputs, **labels, weight=made.weight, bias=made.bias, mcm_temperature=made.mcm_temperature)


def _clip(place: Place) -> Path:
    return place.data(f"recipes/{place.experiment.train.detectors[place.name].recipe}/models/clip")


def _architecture(saved: dict[str, Any]) -> str:
    """Of one of our ResNets, of another classifier, or the name of a network that has neither."""
    config = saved["config"]
    inner = config.get("arguments", config)
    return inner.get("architecture", config.get("kind", saved["architecture"]))


def _calibrator(scorer: Scorer) -> dict[str, Any]:
    return {"name": scorer.calibrator.name, "parameters": scorer.calibrator.to_json()}


def _training(images: dict[str, Any], keys: dict[str, Any], first: dict[str, Any]) -> dict[str, Any]:
    """Where images are from and how many there are, and what the training says of itself (null where it says nothing)."""
    source = images["params"].get("prepare", {}).get("id")
    return {
        "data": data_set(source) if source else None,
        "images": {file: len(keys[file]) for file in FITTED_ON},
        "calibration": sorted(set(keys["calibration"]["set"].to_pylist())),
        "parameters": first.get("penumbra", {}).get("params", {}).get("train"),
    }


def _results(tables: Path, name: str, score: str) -> dict[str, Any]:
    """ID accuracy and, of each test set and of near and far as wholes, the measures of the headline score: mean and deviation."""
    detectors, scores = (pd.read_csv(tables / f"{table}.csv", dtype={"detector": str}) for table in ("detectors", "scores"))
    row = detectors[detectors.detector == name].iloc[0]
    rows = scores[(scores.detector == name) & (scores.score == score)]
    sets = [
        {"set": of_set["set"], "group": of_set["group"]} | {measure: _spread(of_set, column) for measure, column in MEASURES.items()}
        for of_set in rows.to_dict("records")
    ]
    return {"outliers": int(row.outliers), "id_accuracy": _spread(row, "id_acc"), "sets": sets}


def _spread(row: Any, column: str) -> dict[str, float | None]:
    """Of one seed there is no deviation."""
    deviation = float(row[f"{column}_std"])
    return {"mean": float(row[f"{column}_mean"]), "std": None if np.isnan(deviation) else deviation}


def _license(root: Path) -> str:
    """What CITATION.cff says, in Hugging Face's lower case; `other` where it says nothing."""
    path = root / "CITATION.cff"
    found = re.search(r"^license:\s*['\"]?([\w.+-]+)", path.read_text(encoding="utf-8"), re.MULTILINE) if path.exists() else None
    return found[1].lower() if found else "other"
