"""What is not a number is not handed on: features, weights, columns of candidates."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from penumbra.artifacts.features import write_features
from penumbra.artifacts.images import encode
from penumbra.errors import PenumbraError
from penumbra.models.rdm import RDM
from penumbra.pretrain.output import write_model
from penumbra.stage import Params, Stage
from penumbra.synthesize import outliers


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features(tmp_path, value):
    features, path = torch.ones(3, 4), tmp_path / "encoder.safetensors"
    features[1, 2] = value
    with pytest.raises(PenumbraError, match=r"encoder.safetensors: representation would hold 1 values"):
        write_features(path, {"label": torch.arange(3), "representation": features}, ["a", "b", "c"], {})
    assert not path.exists()


def test_weights(tmp_path):
    stage = Stage("pretrain", "rdm", Params({}), writes={"models/rdm": tmp_path / "rdm"}, scratch_root=tmp_path / "scratch")
    model = RDM(dimension=4, width=8, depth=1, time_width=4, timesteps=2, beta_start=0.1, beta_end=0.2)
    next(model.parameters()).data.view(-1)[0] = float("nan")
    with pytest.raises(PenumbraError, match=r"rdm/model.safetensors: .* lower its learning_rate .* fetch it again"):
        write_model(stage, model, None)
    assert not (tmp_path / "rdm").exists()


def test_candidates(tmp_path):
    writes = {"outliers/a": tmp_path / "a.parquet", "selections/a": tmp_path / "all.parquet"}
    stage = Stage("synthesize", "a", Params({}), writes=writes, scratch_root=tmp_path / "scratch")
    image = encode(np.zeros((8, 8, 3), np.uint8))

    def rows(block):
        return ({"image": image, "sample_id": f"a/{place}", "distance": [0.5, float("nan")][place]} for place in block)

    with pytest.raises(PenumbraError, match=r"synthesize@a: distance of a/1 is nan"):
        outliers.run(stage, range(2), 2, {"sample_id": pa.string(), "distance": pa.float64()}, lambda: rows)
    assert not (tmp_path / "a.parquet").exists()
