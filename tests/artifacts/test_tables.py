"""JSON, CSV, Parquet and safetensors files round-trip, say how they were made, and repeat byte for byte."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from torch import nn

from penumbra.artifacts.features import read_features, write_features
from penumbra.artifacts.images import read_provenance
from penumbra.artifacts.networks import Saved
from penumbra.artifacts.tables import read_json, write_csv, write_json, write_parquet
from penumbra.errors import PenumbraError

PROVENANCE = {"stage": "score@none", "params": {"k": 50}, "versions": {"numpy": "2"}}


def test_json_round_trips_and_refuses_nan(tmp_path: Path):
    content = {"b": [1, 2.5, None], "a": {"ü": True}}
    write_json(tmp_path / "x.json", content)
    assert read_json(tmp_path / "x.json") == content
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"auroc": float("nan")})
    assert read_json(tmp_path / "x.json") == content


def test_csv_has_no_index_and_six_digits(tmp_path: Path):
    write_csv(tmp_path / "x.csv", pd.DataFrame({"name": ['a, "b"', "c"], "value": [1 / 3, 2.0]}))
    assert (tmp_path / "x.csv").read_bytes() == b'name,value\n"a, ""b""",0.333333\nc,2\n'


def test_parquet_round_trips_with_its_provenance(tmp_path: Path):
    frame = pd.DataFrame({"sample_id": ["a", "b"], "score": np.array([1.5, -2.0]), "label": [0, -1]})
    for name in ("x", "y"):
        write_parquet(tmp_path / f"{name}.parquet", frame, PROVENANCE)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "x.parquet"), frame)
    assert read_provenance(tmp_path / "x.parquet") == PROVENANCE
    assert pq.read_schema(tmp_path / "x.parquet").names == list(frame)
    assert (tmp_path / "x.parquet").read_bytes() == (tmp_path / "y.parquet").read_bytes()


def test_features_keep_their_rows_and_provenance(tmp_path: Path):
    tensors = {"representation": torch.randn(3, 4).T.contiguous().T, "label": torch.tensor([0, 1, -1])}
    write_features(tmp_path / "x.safetensors", tensors, ["a", "b", "ü"], PROVENANCE)
    loaded, sample_ids = read_features(tmp_path / "x.safetensors")
    assert sample_ids == ["a", "b", "ü"] and all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())
    with safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert json.loads(file.metadata()["penumbra"])["provenance"] == PROVENANCE


class Toy(nn.Module, Saved):
    def __init__(self, width: int):
        super().__init__()
        self.config = {"width": width}
        self.layer = nn.Linear(width, 2)
        self.dropout = nn.Dropout(0.5)


class Other(Toy):
    pass


def test_network_comes_back_frozen_in_eval_mode(tmp_path: Path):
    network = Toy(3).train()
    network.save_pretrained(tmp_path / "toy", PROVENANCE)
    loaded = Toy.from_pretrained(tmp_path / "toy")
    assert torch.equal(loaded.layer.weight, network.layer.weight) and network.training
    assert not loaded.training and not any(parameter.requires_grad for parameter in loaded.parameters())
    assert read_json(tmp_path / "toy" / "config.json")["penumbra"] == PROVENANCE
    assert sorted(path.name for path in (tmp_path / "toy").iterdir()) == ["config.json", "model.safetensors"]


def test_network_that_does_not_fit_is_a_readable_error(tmp_path: Path):
    Toy(3).save_pretrained(tmp_path / "toy")
    with pytest.raises(PenumbraError, match="holds a Toy, not a Other"):
        Other.from_pretrained(tmp_path / "toy")
    with pytest.raises(PenumbraError, match="not a saved Toy.*dvc repro"):
        Toy.from_pretrained(tmp_path / "nowhere")
    config = read_json(tmp_path / "toy" / "config.json")
    write_json(tmp_path / "toy" / "config.json", config | {"config": {"width": 4}})
    with pytest.raises(PenumbraError, match="size mismatch"):
        Toy.from_pretrained(tmp_path / "toy")
    (tmp_path / "toy" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(PenumbraError, match="not a saved Toy"):
        Toy.from_pretrained(tmp_path / "toy")
