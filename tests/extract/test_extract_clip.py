"""CLIP features of images and outliers: right rows, right sources, whole or in parts, every image once."""

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


@pytest.fixture
def outliers(data, tmp_path):
    """A stage over candidates [(source_id, split)]; split ... leaves the column out."""

    def make(rows, reads=("train",), method="synood") -> Stage:
        path, columns = tmp_path / "outliers.parquet", {"sample_id": pa.string(), "source_id": pa.string(), "split": pa.string()}
        if any(split is ... for _, split in rows):
            del columns["split"]
        draws = np.random.default_rng(1)
        with ImageWriter(path, columns, {}) as writer:
            for index, (source_id, split) in enumerate(rows):
                row = {"sample_id": f"{method}/{index}", "source_id": source_id, "split": split}
                writer.add(encode(draws.integers(0, 256, (9, 9, 3), np.uint8)), **{name: row[name] for name in columns})
        found = {f"outliers/{method}": path, "models/clip": data / "models/clip"}
        found |= {f"images/{name}": data / f"images/{name}.parquet" for name in reads}
        writes = {f"features/clip-{method}": tmp_path / "out.safetensors"}
        return Stage("extract", f"clip-{method}", Params({}), {}, found, writes, tmp_path / "scratch")

    return make


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


def test_outliers_know_the_row_of_their_image(outliers):
    stage = outliers([("train/000011", ...), ("", ...), (None, ...), ("train/000000", ...), ("train/000011", ...)])
    main(stage)
    tensors, sample_ids = read_features(stage.write())
    assert tensors["source"].tolist() == [11, -1, -1, 0, 11]
    assert tensors["test"].tolist() == [0] * 5
    assert (tensors["source"].dtype, tensors["test"].dtype) == (torch.int64, torch.uint8)
    assert sample_ids == [f"synood/{index}" for index in range(5)]
    torch.testing.assert_close(tensors["features"], seen(stage, "outliers"))


def test_control_rows_name_images_of_their_own_split(outliers):
    stage = outliers([("train/000002", "train"), ("test/000006", "test"), ("test/000000", "test")], ("train", "test"), "control")
    main(stage)
    tensors, _ = read_features(stage.write())
    assert tensors["source"].tolist() == [2, 6, 0]
    assert tensors["test"].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("row", "reads"),
    [
        (("train/000099", ...), ("train",)),
        (("test/000000", "train"), ("train", "test")),
        (("test/000000", "test"), ("train",)),
    ],
)
def test_a_source_that_does_not_exist_is_an_error(outliers, row, reads):
    stage = outliers([("train/000001", row[1] if row[1] is ... else "train"), row], reads)
    with pytest.raises(PenumbraError, match=f"outliers.parquet: source_id {row[0]} of split .* is no image of images/train"):
        main(stage)
    assert not stage.write().exists()


def test_a_method_without_candidates_has_no_rows(outliers):
    stage = outliers([])
    main(stage)
    tensors, sample_ids = read_features(stage.write())
    assert (len(tensors["features"]), tensors["source"].tolist(), sample_ids) == (0, [], [])


def test_features_that_are_not_finite_are_an_error(outliers, data, tmp_path):
    stage = outliers([("", ...)])
    clip = Clip.load(data / "models/clip")
    clip.model.visual_projection.weight[0, 0] = float("nan")
    clip.save_pretrained(tmp_path / "broken")
    stage.reads["models/clip"] = tmp_path / "broken"
    with pytest.raises(PenumbraError, match="broken: its features of images are NaN or infinite"):
        main(stage)
    assert not stage.write().exists()
