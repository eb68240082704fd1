"""The rows and columns of data/scores/rerun."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from penumbra.models.classifiers.detector import load_detector
from penumbra.rerun.scores import RERUN
from penumbra.rerun.scores.base import Pictures, Subject
from penumbra.scores.sweep import Swept, lists

if TYPE_CHECKING:
    from penumbra.stage import Params


def score_frame(
    entries: "Params", directory: Path, device: torch.device, paths: Mapping[str, Path], keys: Mapping[str, pd.DataFrame]
) -> tuple[pd.DataFrame, dict[str, list[dict]]]:
    """Scores of the images of each file of `keys` but the training images, and what sweeps tried.

    Args:
        entries: rerun.scores, of which a detector has those that are of its loss.
        directory: of the saved detector.
        device: where it computes.
        paths: of the images, by file.
        keys: columns KEYS of the images of each file.

    Raises:
        PenumbraError: a score is not a number.
    """
    of = {file: Pictures(str(path), device) for file, path in paths.items()}
    network, labels = load_detector(directory).to(device), torch.from_numpy(keys["train"].label.to_numpy().copy())
    subject = Subject(network, of["train"], labels, of["val"], of["calibration"], directory)
    columns, tried = {}, {}
    for name, entry in entries.items():
        kind = RERUN[entry.score]
        if not kind.suits(directory):
            continue
        score = Swept(entry, name, kind) if lists(entry, list(kind.Parameters.model_fields)) else kind(entry, name)
        score.fit(subject)
        columns[name] = {file: score(of[file]) for file in keys if file != "train"}
        for file, values in columns[name].items():
            if not values.isfinite().all():
                raise score.refused(f"is not finite for images of {file}. Leave it out, or change its values.")
        if isinstance(score, Swept):
            tried[name] = [asdict(candidate) for candidate in score.candidates]
    frames = [
        of_file[["sample_id"]].assign(**{name: values[file].numpy() for name, values in columns.items()})
        for file, of_file in keys.items()
        if file != "train"
    ]
    return pd.concat(frames, ignore_index=True), tried
