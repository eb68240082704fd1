"""Features of the ID images: right rows, right numbers, whole or in parts."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from penumbra.artifacts import images
from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import ImageWriter, encode, read_pixels
from penumbra.extract.encoder import main
from penumbra.models.moco import MoCoEncoder
from penumbra.stage import Params, Stage

SIZES = {"image_size": 8, "patch_size": 4, "width": 16, "depth": 1, "heads": 2, "projection_hidden": 16, "projection": 6}


@pytest.fixture
def stage(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "ROW_GROUP", 5)
    draws = np.random.default_rng(0)
    with ImageWriter(tmp_path / "train.parquet", {"sample_id": pa.string(), "label": pa.int64()}, {}) as writer:
        for index in range(12):
            writer.add(encode(draws.integers(0, 256, (10, 10, 3), np.uint8)), sample_id=f"train/{index:06d}", label=index % 3)
    torch.manual_seed(0)
    MoCoEncoder(**SIZES).eval().save_pretrained(tmp_path / "encoder")
    reads = {"images/train": tmp_path / "train.parquet", "models/encoder": tmp_path / "encoder"}
    return Stage("extract", "encoder", Params({}), {}, reads, {"features/encoder": tmp_path / "encoder.safetensors"}, tmp_path / "scratch")


def test_rows_are_the_standardised_representations_of_the_images_in_order(stage):
    main(stage)
    tensors, sample_ids = read_features(stage.write())
    assert sample_ids == [f"train/{index:06d}" for index in range(12)]
    assert tensors["label"].tolist() == [index % 3 for index in range(12)]
    encoder = MoCoEncoder.from_pretrained(stage.read("models/encoder"))
    pixels = torch.from_numpy(read_pixels(stage.read("images/train"))).permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(tensors["representation"], encoder.represent(pixels))
    torch.testing.assert_close(tensors["representation"].norm(dim=1), torch.full((12,), 5.0**0.5))


def test_parts_give_the_bytes_of_the_whole_and_leave_no_scratch(stage, tmp_path):
    main(stage)
    whole = stage.write().read_bytes()
    again = replace(stage, writes={"features/encoder": tmp_path / "again.safetensors"}, scratch_root=tmp_path / "other")
    for index in range(3):
        main(replace(again, part=(index, 3)))
        assert not again.write().exists()
    main(again)
    assert again.write().read_bytes() == whole
    assert not again.scratch_root.joinpath("extract@encoder").exists()
