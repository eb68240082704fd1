"""Features of the ID classifier: right rows, right numbers, whole or in parts."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from penumbra.artifacts import images
from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import ImageWriter, encode, read_pixels
from penumbra.errors import PenumbraError
from penumbra.extract.classifier import main
from penumbra.models.resnet import ResNet
from penumbra.stage import Params, Stage

ARCHITECTURE = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 1, "stem_pool": False, "classes": 3}


@pytest.fixture
def stage(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "ROW_GROUP", 5)
    draws = np.random.default_rng(0)
    with ImageWriter(tmp_path / "train.parquet", {"sample_id": pa.string(), "label": pa.int64()}, {}) as writer:
        for index in range(12):
            writer.add(encode(draws.integers(0, 256, (16, 16, 3), np.uint8)), sample_id=f"train/{index:06d}", label=index % 3)
    torch.manual_seed(0)
    ResNet(**ARCHITECTURE).eval().save_pretrained(tmp_path / "classifier")
    reads = {"images/train": tmp_path / "train.parquet", "models/classifier": tmp_path / "classifier"}
    writes = {"features/classifier": tmp_path / "classifier.safetensors"}
    return Stage("extract", "classifier", Params({}), {}, reads, writes, tmp_path / "scratch")


def test_rows_are_the_penultimate_features_of_the_images_in_order(stage):
    main(stage)
    tensors, sample_ids = read_features(stage.write())
    assert sample_ids == [f"train/{index:06d}" for index in range(12)]
    assert tensors["label"].tolist() == [index % 3 for index in range(12)]
    classifier, seen = ResNet.from_pretrained(stage.read("models/classifier")), []
    classifier.fc.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    classifier(torch.from_numpy(read_pixels(stage.read("images/train"))).permute(0, 3, 1, 2).float() / 255)
    torch.testing.assert_close(tensors["features"], seen[0])


def test_parts_give_the_bytes_of_the_whole(stage, tmp_path):
    main(stage)
    whole = stage.write().read_bytes()
    again = replace(stage, writes={"features/classifier": tmp_path / "again.safetensors"}, scratch_root=tmp_path / "other")
    for index in (1, 0):
        main(replace(again, part=(index, 2)))
        assert not again.write().exists()
    main(again)
    assert again.write().read_bytes() == whole


def test_a_classifier_that_diverged_is_an_error(stage):
    broken = ResNet(**ARCHITECTURE)
    torch.nn.init.constant_(broken.bn1.weight, float("inf"))
    broken.save_pretrained(stage.read("models/classifier"))
    with pytest.raises(PenumbraError, match="features of ID training images are NaN or infinite"):
        main(stage)
