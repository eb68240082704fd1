"""CLIP features of the candidates of every method: a file each, right rows, whole or in parts, every image once."""

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
from penumbra.errors import PenumbraError
from penumbra.extract.candidates import main
from penumbra.models.clip import Clip
from penumbra.stage import Params, Stage
from tiny_clip import DIMENSION, write_tiny_clip

COUNTS = {"badood": 12, "synood": 3, "sona": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A tiny model, and candidates of three methods beside those of one that is no more; five in a row group."""
    folder, draws = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    write_tiny_clip(folder / "models/clip")
    (folder / "outliers").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "ROW_GROUP", 5)
        for name, count in (COUNTS | {"left-over": 2}).items():
            with ImageWriter(folder / f"outliers/{name}.parquet", {"sample_id": pa.string()}, {}) as writer:
                for index in range(count):
                    writer.add(encode(draws.integers(0, 256, (20, 18, 3), np.uint8)), sample_id=f"{name}/{index:06d}")
    return folder


@pytest.fixture
def stage(data, tmp_path):
    reads = {"models/clip": data / "models/clip", "outliers": data / "outliers"}
    params = Params({"synthesize": {name: {"seed": 0} for name in COUNTS}})
    writes = {"features/candidates": tmp_path / "candidates"}
    return Stage("extract", "candidates", params, {}, reads, writes, tmp_path / "scratch")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_file_for_each_method_of_the_parameters_with_a_row_for_each_candidate(stage, data):
    main(stage)
    assert set(contents(stage.write())) == {f"{name}.safetensors" for name in COUNTS}
    clip = Clip.load(data / "models/clip")
    for name, count in COUNTS.items():
        tensors, sample_ids = read_features(stage.write() / f"{name}.safetensors")
        assert tensors.keys() == {"features"} and sample_ids == [f"{name}/{index:06d}" for index in range(count)]
        assert len(tensors["features"]) == count
        if count:
            pixels = torch.from_numpy(read_pixels(data / f"outliers/{name}.parquet")).permute(0, 3, 1, 2).float() / 255
            assert tensors["features"].shape == (count, DIMENSION)
            torch.testing.assert_close(tensors["features"], clip.embed_images(pixels))
        with safe_open(stage.write() / f"{name}.safetensors", "pt") as file:
            header = json.loads(file.metadata()["penumbra"])
        assert header["logit_scale"] == clip.logit_scale and header["provenance"]["stage"] == "extract@candidates"


def test_parts_give_the_bytes_of_the_whole_and_no_image_is_seen_twice(stage, tmp_path, monkeypatch):
    count, embed = [], Clip.embed_images
    monkeypatch.setattr(Clip, "embed_images", lambda clip, batch: count.append(len(batch)) or embed(clip, batch))
    main(stage)
    assert sum(count) == sum(COUNTS.values())
    again = replace(stage, writes={"features/candidates": tmp_path / "again"}, scratch_root=tmp_path / "other")
    for index in (1, 0):
        main(replace(again, part=(index, 2)))
        assert not again.write().exists()
    main(again)
    assert contents(again.write()) == contents(stage.write())
    assert sum(count) == 2 * sum(COUNTS.values())
    assert not (again.scratch_root / again.name).exists()


def test_features_that_are_not_finite_are_an_error(stage, data, tmp_path):
    clip = Clip.load(data / "models/clip")
    clip.model.visual_projection.weight[0, 0] = float("nan")
    clip.save_pretrained(tmp_path / "broken")
    stage.reads["models/clip"] = tmp_path / "broken"
    with pytest.raises(PenumbraError, match="broken: its features of images are NaN or infinite"):
        main(stage)
    assert not stage.write().exists()
