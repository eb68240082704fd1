"""The rows and columns of data/scores/grid."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import torch

from penumbra.artifacts.images import read_table
from penumbra.artifacts.outputs import Pass
from penumbra.models.inference import Inference
from penumbra.scores import scores_of
from penumbra.scores.base import Bank, exact

if TYPE_CHECKING:
    from penumbra.score.params import Score as Parameters


def grid_frame(
    parameters: "Parameters", made: Pass, keys: Mapping[str, pa.Table], network: Inference, grids: Mapping[str, Path]
) -> pd.DataFrame:
    """Scores of the images of all grids by one network.

    Args:
        parameters: the section `score`.
        made: what the network says of the images that scores are fitted on.
        keys: columns KEYS of these images, by file.
        network: the same, to be asked about the grids.
        grids: their files, by name.
    """
    train, val, calibration = (exact(made.outputs[file], made.kind) for file in ("train", "val", "calibration"))
    labels, val_labels = (torch.from_numpy(keys[file]["label"].to_numpy().copy()) for file in ("train", "val"))
    bank = Bank(train, labels, val, val_labels, calibration, made.weight, made.bias, mcm_temperature=made.mcm_temperature)
    scores = scores_of(parameters, made.kind, train.kept).values()
    for score in scores:
        score.fit(bank)
    frames = []
    for name, path in grids.items():
        asked = exact(network.kept(path, list(train.of_layers("means")), train.powers), made.kind)
        columns = {column: values.numpy() for score in scores for column, values in score.columns(asked).items()}
        frame = read_table(path, ["sample_id", "semantic", "covariate"]).to_pandas().assign(**columns)
        frame.insert(0, "grid", name)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
