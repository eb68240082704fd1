"""The rows and columns of data/scores, whatever kind the detector is of."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from penumbra.artifacts.outputs import Outputs, Pass
from penumbra.scores import SCORES, names
from penumbra.scores.base import Bank, Score

if TYPE_CHECKING:
    from penumbra.score.params import Score as Parameters

TESTS = ("test", "ood", "shifted")


def score_frame(parameters: "Parameters", made: Pass, keys: Mapping[str, pa.Table]) -> pd.DataFrame:
    """Scores of all test images by one detector; then those of ID validation.

    Args:
        parameters: the section `score`.
        made: what the detector says of the images.
        keys: columns KEYS of the images of each file.
    """
    outputs = {file: _exact(made, found) for file, found in made.outputs.items()}
    labels = torch.from_numpy(keys["train"]["label"].to_numpy().copy())
    bank = Bank(
        outputs["train"], labels, outputs["val"], outputs["calibration"], made.weight, made.bias, mcm_temperature=made.mcm_temperature
    )
    scores = [SCORES[name](parameters) for name in names(made.kind)]
    for score in scores:
        score.fit(bank)
    parts = [(keys[file].to_pandas(), outputs[file]) for file in TESTS]
    parts.append((keys["val"].to_pandas().assign(group="val", set="id-val"), outputs["val"]))
    frames = [keys_of.assign(predicted=found.logits.argmax(dim=1).numpy(), **_columns(scores, found)) for keys_of, found in parts]
    return pd.concat(frames, ignore_index=True)


def _exact(made: Pass, outputs: Outputs) -> Outputs:
    """Logits, and the features of networks, in float64; those of CLIP, of length 1, as they are."""
    features = outputs.features.double() if made.kind == "network" else outputs.features
    return Outputs(outputs.logits.double(), features, outputs.concepts, outputs.log_odds)


def _columns(scores: list[Score], outputs: Outputs) -> dict[str, np.ndarray]:
    """Columns of N images: scores of any detector, what they give beside their own, then scores of this kind of detector alone."""
    found = {(score, column): values for score in scores for column, values in score.columns(outputs).items()}
    order = sorted(found, key=lambda key: (key[0].kinds != Score.kinds, key[1] != key[0].name))
    return {column: found[score, column].numpy() for score, column in order}
