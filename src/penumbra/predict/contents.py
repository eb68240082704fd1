"""What a detector is made of, wherever it lies: what is asked, what is written, and what is read again are one thing."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from penumbra.artifacts.outputs import OUTPUTS, Outputs
from penumbra.artifacts.tables import read_json
from penumbra.artifacts.tensors import read_tensors, write_tensors
from penumbra.errors import PenumbraError
from penumbra.predict import folder
from penumbra.predict.folder import Folder
from penumbra.scores.base import Bank

FITTED_ON = ("train", "val", "calibration")  # files of images that scores may be fitted on
OWN = ("labels", "val_labels", "weight", "bias")  # tensors of a bank that are no outputs
SHARES = (0.5, 0.8, 0.9, 0.95, 0.99, 1.0)  # of ID validation, for which config.json tells the threshold


@dataclass(frozen=True)
class Contents:
    """A detector with all its training seeds.

    Attributes:
        config: what config.json says, JSON-able:
            name: in params.yaml.
            kind: network | clip.
            architecture: of the network or of the CLIP model.
            seeds: of training.
            classes: names of the ID classes, by label.
            image_size, preprocessing: pixels of a side, and how a picture becomes such a square.
            score: name of the headline score.
            scores: names of the scores that this kind of detector has, in the order of their columns.
            parameters: of the scores, the section `score` of params.yaml.
            calibrators: the map from log-odds to P(OOD) of each seed: {name, parameters}; see `calibrators`.
            thresholds: of the headline score by the share of ID validation that is accepted.
            kernels: common.kernels.
            training: where the images are from, how many, and what the detector was trained with.
            results: of the benchmark, or null where none are recorded.
            license: of the repository, as Hugging Face calls it.
            versions: of penumbra, torch and others.
        networks: the folder of each training seed.
        bank: what the scores of a seed are fitted on, as the network gave it.
        validation: mean headline score over the seeds of the ID validation images [V], sorted.
        clip: the folder of the image tower, of CLIP detectors.
        provenance: stages of dvc.lock that made it, by name; None where it records none.
    """

    config: dict[str, Any]
    networks: Mapping[int, Path]
    bank: Callable[[int], Bank]
    validation: np.ndarray
    clip: Path | None
    provenance: dict[str, Any] | None


def read(place: Folder) -> Contents:
    """Those of a bare detector directory, each file of which is as it was written. Banks are read when they are asked for.

    Raises:
        PenumbraError: a file is missing or changed.
    """
    folder.check(place)
    path, config = place.path, place.config
    networks = {seed: path / folder.network(seed) for seed in config["seeds"]}
    validation = read_tensors(path / folder.VALIDATION)[0]["score"].numpy()
    clip = path / folder.CLIP if config["kind"] == "clip" else None
    recorded = read_json(path / folder.PROVENANCE) if folder.PROVENANCE in config["files"] else None
    return Contents(config, networks, lambda seed: read_bank(path / folder.bank(seed)), validation, clip, recorded)


def write_bank(path: Path, bank: Bank) -> None:
    """Write labels, last layer, and FILE/OUTPUT of the images in FITTED_ON."""
    tensors = {name: getattr(bank, name) for name in OWN}
    for file in FITTED_ON:
        outputs = getattr(bank, file)
        found = {name: getattr(outputs, name) for name in OUTPUTS}
        tensors |= {f"{file}/{name}": values for name, values in found.items() if values is not None}
    write_tensors(path, tensors, {"mcm_temperature": bank.mcm_temperature})


def read_bank(path: Path) -> Bank:
    """The inverse of `write_bank`."""
    tensors, content = read_tensors(path)
    own = {name: tensors.pop(name) for name in OWN}
    outputs: dict[str, dict[str, torch.Tensor]] = {file: {} for file in FITTED_ON}
    for name, values in tensors.items():
        file, _, output = name.partition("/")
        outputs[file][output] = values
    return Bank(**{file: Outputs(**found) for file, found in outputs.items()}, **own, mcm_temperature=content["mcm_temperature"])


def threshold(validation: np.ndarray, accept: float) -> float:
    """The score above which an image is flagged: the quantile `accept` of the scores of ID validation, interpolated between two.

    Args:
        accept: share of ID validation that is not flagged, above 0 and at most 1.

    Raises:
        PenumbraError: it is no such share.
    """
    if not 0 < accept <= 1:
        raise PenumbraError(f"accept = {accept:g}: must be a share above 0 and at most 1, such as 0.95.")
    return float(np.quantile(validation, accept))


def thresholds(validation: np.ndarray) -> dict[str, float]:
    """By share, for readers of config.json."""
    return {f"{share:g}": threshold(validation, share) for share in SHARES}


def mean(values: Iterable[np.ndarray]) -> np.ndarray:
    """Over the seeds."""
    return np.mean(list(values), axis=0)
