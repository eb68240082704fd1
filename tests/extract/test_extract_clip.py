"""CLIP features of images: right rows, whole or in parts, every image once."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors import safe_open

from penumbra.artifacts import images
from penumbra.artifacts.features import read_features
from penumbra.artifacts.images import ImageWriter, encode, read_pixels
from penumbra.extract.clip import FILES, main
from penumbra.models.clip import Clip
from penumbra.stage import Params, Stage
from tiny_clip import DIMENSION, write_tiny_clip

COUNTS = {"train": 12, "val": 3, "calibration": 5, "test": 7, "ood": 6, "shifted": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A tiny model and images, five in a row group."""
    folder, draws = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    write_tiny_clip(folder / "models/clip")
    (folder / "images").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "ROW_GROUP", 5)
        for name, count in COUNTS.items():
            with ImageWriter(folder / f"images/{name}.parquet", {"sample_id": pa.string(), "label": pa.int64()}, {}) as writer:
                for index in range(count):
                    pixels = draws.integers(0, 256, (20, 18, 3), np.uint8)
                    writer.add(encode(pixels), sample_id=f"{name}/{index:06d}", label=index % 3)
    return folder


@pytest.fixture
def stage(data, tmp_path):
    reads = {"models/clip": data / "models/clip"} | {f"images/{name}": data / f"images/{name}.parquet" for name in FILES}
    return Stage("extract", "clip", Params({}), {}, reads, {"features/clip": tmp_path / "clip.safetensors"}, tmp_path / "scratch")


def seen(stage, name):
    """What the model itself makes of all images of a file at once."""
    pixels = torch.from_numpy(read_pixels(stage.read(name))).permute(0, 3, 1, 2)
    return Clip.load(stage.read("models/clip")).embed_images(pixels.float() / 255)


def test_every_file_has_its_raw_features_row_by_row_and_train_its_labels(stage):
    main(stage)
    tensors, sample_ids = read_features(stage.write())
    assert tensors.keys() == {*FILES, "train_label"}
    for name in FILES:
        assert tensors[name].shape == (COUNTS[name], DIMENSION)
        torch.testing.assert_close(tensors[name], seen(stage, f"images/{name}"))
    assert tensors["train"].norm(dim=1).std() > 0.01  # not normalised
    assert tensors["train_label"].tolist() == [index % 3 for index in range(12)]
    assert sample_ids == [f"{name}/{index:06d}" for name in FILES for index in range(COUNTS[name])]


def test_parts_give_the_bytes_of_the_whole_and_no_image_is_seen_twice(stage, tmp_path, monkeypatch):
    count, embed = [], Clip.embed_images
    monkeypatch.setattr(Clip, "embed_images", lambda clip, batch: count.append(len(batch)) or embed(clip, batch))
    main(stage)
    whole = stage.write().read_bytes()
    assert sum(count) == sum(COUNTS.values())
    again = replace(stage, writes={"features/clip": tmp_path / "again.safetensors"}, scratch_root=tmp_path / "other")
    for index in (1, 0):
        main(replace(again, part=(index, 2)))
        assert not again.write().exists()
    main(again)
    assert again.write().read_bytes() == whole
    assert sum(count) == 2 * sum(COUNTS.values())


def test_the_header_tells_the_scale_of_the_logits_and_the_provenance(stage):
    main(stage)
    with safe_open(stage.write(), "pt") as file:
        header = json.loads(file.metadata()["penumbra"])
    assert header["logit_scale"] == Clip.load(stage.read("models/clip")).logit_scale
    assert header["provenance"]["stage"] == "extract@clip"
