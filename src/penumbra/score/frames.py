"""The rows and columns of data/scores, whatever kind the detector is of."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from penumbra.artifacts.outputs import Outputs, Pass
from penumbra.scores import scores_of
from penumbra.scores.base import Asked, Bank, Score, exact
from penumbra.scores.sweep import Swept

if TYPE_CHECKING:
    from penumbra.score.params import Score as Parameters

TESTS = ("test", "ood", "shifted")


def score_frame(parameters: "Parameters", made: Pass, keys: Mapping[str, pa.Table]) -> tuple[pd.DataFrame, dict[str, list[dict]]]:
    """Scores of all test images by one detector, then those of ID validation; and what sweeps tried.

    Args:
        parameters: the section `score`.
        made: what the detector says of the images; its outputs are taken out, for the memory that they hold.
        keys: columns KEYS of the images of each file.

    Returns:
        Rows of data/scores, and the fields of each `Candidate` of each score that is swept.
    """
    outputs = {file: exact(made.outputs.pop(file), made.kind) for file in list(made.outputs)}  # nobody wants both precisions
    labels, val_labels = (torch.from_numpy(keys[file]["label"].to_numpy().copy()) for file in ("train", "val"))
    train, val, calibration = (outputs[file] for file in ("train", "val", "calibration"))
    bank = Bank(train, labels, val, val_labels, calibration, made.weight, made.bias, mcm_temperature=made.mcm_temperature)
    scores = list(scores_of(parameters, made.kind, train.kept).values())
    for score in scores:
        score.fit(bank)
    parts = [(keys[file].to_pandas(), outputs[file]) for file in TESTS]
    parts.append((keys["val"].to_pandas().assign(group="val", set="id-val"), outputs["val"]))
    frames = [keys_of.assign(predicted=found.logits.argmax(dim=1).numpy(), **_columns(scores, found)) for keys_of, found in parts]
    tried = {score.name: [asdict(candidate) for candidate in score.candidates] for score in scores if isinstance(score, Swept)}
    return pd.concat(frames, ignore_index=True), tried


def _columns(scores: list[Score], outputs: Outputs) -> dict[str, np.ndarray]:
    """Columns of N images: scores of any detector, what they give beside their own, scores of this kind of detector alone, then `more`."""
    found = {(score, column): values for score in scores for column, values in score.columns(outputs).items()}
    order = sorted(found, key=lambda key: _place(*key))
    return {column: found[score, column].numpy() for score, column in order}


def _place(score: Score, column: str) -> tuple[bool, ...]:
    return (True,) if isinstance(score, Asked) else (False, score.kinds != Score.kinds, column != score.name)
