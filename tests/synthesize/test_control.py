"""Controls are what a pipeline's autoencoder keeps of ID images; `none` is a method without outliers."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from outlier_files import outliers_of, selection_of

from penumbra.artifacts.images import ImageWriter, decode, encode, read_pixels, read_provenance
from penumbra.models.inpainting import InpaintingDiffusion
from penumbra.models.latent import LatentDiffusion
from penumbra.noise import SampleNoise
from penumbra.stage import Params, Stage
from penumbra.synthesize import latents, none
from penumbra.synthesize.control import plan as control
from penumbra.synthesize.control.params import Control
from tiny_pipeline import write_tiny_inpainting, write_tiny_pipeline

SIZE = 12  # pixels; those of the pipelines are 16
COUNTS = {"train": 11, "test": 4}
MODELS = {"diffusion": LatentDiffusion, "inpainting": InpaintingDiffusion}
CONTROL = {"pipeline": "diffusion", "posterior": "mean", "jpeg": None, "splits": ["train", "test"]}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder, draws = tmp_path_factory.mktemp("inputs"), np.random.default_rng(0)
    write_tiny_pipeline(folder / "diffusion")
    write_tiny_inpainting(folder / "inpainting", seed=1)
    for split, count in COUNTS.items():
        with ImageWriter(folder / f"{split}.parquet", {"sample_id": pa.string(), "label": pa.int64()}, {}) as writer:
            for index in range(count):
                pixels = draws.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
                writer.add(encode(pixels), sample_id=f"{split}/{index:06d}", label=index % 2)
    return folder


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(control, "BLOCK", 4)  # the third has images of both splits


def make_stage(inputs, folder, **changes):
    section = Control(**CONTROL | changes)
    reads = {f"images/{split}": inputs / f"{split}.parquet" for split in COUNTS}
    reads[f"models/{section.pipeline}"] = inputs / section.pipeline
    params = Params({"common": {"seed": 3, "grey": False}, "synthesize": {"own": section}})
    return Stage("synthesize", "own", params, {}, reads, {"controls/own": folder / "own.parquet"}, folder / "scratch")


def run(inputs, folder, **changes):
    stage = make_stage(inputs, folder, **changes)
    control.main(stage)
    return stage


def rows_of(stage):
    return pq.read_table(stage.write()).to_pandas()


def round_trips(inputs, kind, splits, noise=None):
    """decode(encode(x)) of images at the pipeline's size, back at their own: uint8."""
    model = MODELS[kind].load(inputs / kind)
    pixels = np.concatenate([read_pixels(inputs / f"{split}.parquet") for split in splits])
    images = latents.resized(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255, (16, 16))
    with torch.no_grad():
        made = latents.resized(model.decode(model.encode(images, noise)), (SIZE, SIZE))
    return (made.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("kind", ["diffusion", "inpainting"])
def test_it_is_the_autoencoders_round_trip_of_every_image_of_the_splits(inputs, tmp_path, kind):
    stage = run(inputs, tmp_path, pipeline=kind)
    rows = rows_of(stage)
    assert list(rows.columns) == ["image", "sample_id", "source_id", "label", "split", "seed"]
    assert rows["sample_id"].tolist() == [f"own/{index:06d}" for index in range(15)]
    assert rows["source_id"].tolist() == [f"{split}/{index:06d}" for split, count in COUNTS.items() for index in range(count)]
    assert rows["split"].tolist() == ["train"] * 11 + ["test"] * 4
    assert rows["label"].tolist() == [index % 2 for count in COUNTS.values() for index in range(count)]
    assert (rows["seed"] == 3).all()
    made = read_pixels(stage.write())
    np.testing.assert_allclose(made.astype(int), round_trips(inputs, kind, COUNTS).astype(int), atol=1)
    assert (made != np.concatenate([read_pixels(inputs / f"{split}.parquet") for split in COUNTS])).mean() > 0.5
    assert not (stage.scratch_root / stage.name).exists()


def test_the_pipelines_differ(inputs, tmp_path):
    made = [read_pixels(run(inputs, tmp_path / kind, pipeline=kind).write()) for kind in MODELS]
    assert (made[0] != made[1]).any()


@pytest.mark.parametrize("splits", [["train"], ["test"], ["test", "train"]])
def test_it_holds_the_splits_that_are_asked_for_in_their_order(inputs, tmp_path, splits):
    stage = run(inputs, tmp_path, splits=splits)
    assert rows_of(stage)["split"].tolist() == [split for split in splits for _ in range(COUNTS[split])]
    np.testing.assert_allclose(read_pixels(stage.write()).astype(int), round_trips(inputs, "diffusion", splits).astype(int), atol=1)


def test_a_jpeg_is_what_is_kept_of_the_round_trip(inputs, tmp_path):
    png, jpeg = (run(inputs, tmp_path / str(quality), jpeg=quality) for quality in (None, 60))
    assert all(image["bytes"].startswith(b"\x89PNG") for image in rows_of(png)["image"])
    assert all(image["bytes"].startswith(b"\xff\xd8") for image in rows_of(jpeg)["image"])
    compressed = np.stack([decode(encode(image, jpeg=60)) for image in read_pixels(png.write())])
    assert np.array_equal(read_pixels(jpeg.write()), compressed)


def test_a_sampled_posterior_is_that_of_each_images_own_noise(inputs, tmp_path):
    stage = run(inputs, tmp_path, posterior="sample")
    noise = SampleNoise(3, "synthesize/posterior", rows_of(stage)["source_id"].tolist()).normal(4, 8, 8)
    made = read_pixels(stage.write())
    np.testing.assert_allclose(made.astype(int), round_trips(inputs, "diffusion", COUNTS, noise).astype(int), atol=1)
    assert (made != round_trips(inputs, "diffusion", COUNTS)).mean() > 0.2


def test_parts_in_any_order_give_the_bytes_of_the_whole(inputs, tmp_path):
    whole, other = run(inputs, tmp_path / "whole"), make_stage(inputs, tmp_path / "parts")
    for index in (2, 0, 1):
        control.main(replace(other, part=(index, 3)))
    assert not other.write().exists()
    control.main(other)
    assert other.write().read_bytes() == whole.write().read_bytes()


def test_none_is_a_method_without_a_candidate(tmp_path):
    stage = Stage("synthesize", "none", Params({}), {}, {}, outliers_of(tmp_path, "none"), tmp_path / "scratch")
    none.main(stage)
    table = pq.read_table(stage.write("outliers"))
    assert len(table) == 0 and table.column_names == ["image", "sample_id", "source_id", "label"]
    assert read_provenance(stage.write("outliers"))["stage"] == "synthesize@none"
    assert selection_of(stage) == []
