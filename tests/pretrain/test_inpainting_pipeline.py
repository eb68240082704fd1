"""pretrain@inpainting on real files: what it starts from, what it learns, what diffusers makes of it, resumption, the import."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from killed_training import killed
from penumbra.artifacts.images import ImageWriter, encode, iter_pixels, read_pixels, read_provenance, read_table
from penumbra.errors import PenumbraError
from penumbra.models.inpainting import InpaintingDiffusion
from penumbra.models.latent import LatentDiffusion
from penumbra.noise import SampleNoise, generator
from penumbra.pretrain import inpainting, painter
from penumbra.pretrain.pictures import draw
from penumbra.stage import Params, Stage
from penumbra.training import History
from tiny_pipeline import write_tiny_inpainting, write_tiny_pipeline

from diffusers import StableDiffusionInpaintPipeline  # isort: skip

PARAMS = {
    "pipeline": None,
    "templates": ["{}", "a {}"],
    "whole": 0.25,
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 0.003,
    "weight_decay": 0.01,
    "ema_decay": 0.9,
    "warmup_epochs": 0,
    "caption_dropout": 0.3,
    "validate_every": 2,
    "sample_steps": 2,
    "sample_guidance": 2.0,
}
WORDS = ("one", "two")
SIZE = 16


@pytest.fixture(scope="module")
def reads(tmp_path_factory):
    """Images whose left half has the brightness of the right one, and a text-to-image pipeline of their size."""
    folder, draws = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    reads = {"models/diffusion": write_tiny_pipeline(folder / "diffusion", image_size=SIZE)}
    for name, count in (("train", 24), ("val", 6), ("world", 8)):
        reads[f"images/{name}"] = folder / f"{name}.parquet"
        columns = dict.fromkeys(("sample_id", "class", "caption"), pa.string()) | {"label": pa.int64()}
        with ImageWriter(reads[f"images/{name}"], columns, {"classes": ["1", "2"]}) as writer:
            for index in range(count):
                pixels = np.clip(draws.uniform(20, 230) + draws.normal(0, 8, (SIZE, SIZE, 3)), 0, 255).astype(np.uint8)
                label = (index + 1) % 2
                caption = {"train": WORDS[label], "val": "", "world": f"letter {'cd'[label]}"}[name]
                row = {"label": -1 if name == "world" else label, "class": str(label + 1), "sample_id": f"{name}/{index}"}
                writer.add(encode(pixels), caption=caption, **row)
    return reads


def make_stage(reads, folder: Path, **changes) -> Stage:
    params = Params({"common": {"seed": 0, "image_size": SIZE}, "pretrain": {"inpainting": PARAMS | changes}})
    return Stage("pretrain", "inpainting", params, {}, reads, {"models/inpainting": folder / "result"}, folder / "scratch")


@pytest.fixture(scope="module")
def trained(reads, tmp_path_factory):
    """The result of one whole training."""
    stage = make_stage(reads, tmp_path_factory.mktemp("trained"))
    inpainting.main(stage)
    return stage.write()


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_before_training_it_draws_what_the_text_to_image_pipeline_draws_whatever_the_mask(reads):
    start = LatentDiffusion.load(reads["models/diffusion"])
    model = painter.untrained(start)
    z, condition = torch.randn(2, 4, 8, 8, generator=generator(0)), start.embed(["one", "two"])
    mask, masked = torch.rand(2, 1, 8, 8, generator=generator(1)).round(), torch.randn(2, 4, 8, 8, generator=generator(2))
    torch.testing.assert_close(model.eps(z, 500, condition, mask, masked), start.eps(z, 500, condition))
    assert model.unet.conv_in.weight[:, 4:].abs().max() == 0


def test_it_learns_and_looks_beside_the_mask(reads, tmp_path, monkeypatch):
    """With the surroundings of other images, which differ in brightness, its loss is higher."""

    def brightness(self, images):
        return F.avg_pool2d(4 * images - 2, 2).mean(1, keepdim=True).expand(-1, 4, -1, -1)

    monkeypatch.setattr(InpaintingDiffusion, "encode", brightness)  # a random autoencoder would hardly show it
    p = Params(PARAMS | {"epochs": 25, "learning_rate": 0.01, "whole": 0.0, "validate_every": 24})
    model, history = painter.untrained(LatentDiffusion.load(reads["models/diffusion"])), History()
    images = {name: torch.from_numpy(read_pixels(reads[f"images/{name}"])).permute(0, 3, 1, 2) for name in ("train", "val")}
    train, val = (inpainting.gather(model, images[name], [""] * n, ["{}"], tmp_path / name) for name, n in (("train", 24), ("val", 6)))
    painter.train_painter(model, train, val, p, 0, tmp_path, history)
    losses = [row["loss"] for row in history.rows]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    elsewhere = replace(val, images=val.images.roll(1, 0))
    right, wrong = (painter.validation_loss(model, data, p, generator(0)) for data in (val, elsewhere))
    assert right < 0.95 * wrong


def test_autoencoder_and_text_encoder_stay_and_the_unet_does_not(reads, trained):
    start, model = LatentDiffusion.load(reads["models/diffusion"]), InpaintingDiffusion.load(trained)
    for part in ("vae", "text_encoder"):
        before, after = (getattr(m, part).state_dict() for m in (start, model))
        assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert not torch.equal(model.unet.conv_in.weight[:, :4], start.unet.conv_in.weight)
    assert model.unet.conv_in.weight[:, 4:].abs().min() > 0
    assert model.levels(7) == start.levels(7)


def test_the_official_pipeline_loads_it_and_paints(trained):
    official = StableDiffusionInpaintPipeline.from_pretrained(trained, safety_checker=None)
    official.set_progress_bar_config(disable=True)
    call = {
        "image": torch.rand(1, 3, SIZE, SIZE),
        "mask_image": torch.ones(1, 1, SIZE, SIZE),
        "num_inference_steps": 2,
        "output_type": "np",
    }
    image = official("one", height=SIZE, width=SIZE, **call).images
    assert image.shape == (1, SIZE, SIZE, 3)
    assert np.isfinite(image).all()


def test_samples_are_of_each_class_as_it_is_masked_repainted_and_drawn(reads, trained):
    table = read_table(trained / "samples.parquet").to_pandas()
    pixels = np.concatenate([*iter_pixels(trained / "samples.parquet")])
    assert table["kind"].value_counts().to_dict() == {"original": 2, "masked": 2, "repainted": 2, "drawn": 2 * inpainting.DRAWN}
    one = table[table["source_id"] == "val/1"]  # the first of label 0
    assert one["caption"].tolist() == ["one"] * 3
    original, masked, repainted = (pixels[one.index[one["kind"] == kind][0]].astype(int) for kind in ("original", "masked", "repainted"))
    assert (original == next(iter_pixels(reads["images/val"]))[1]).all()
    inside = np.zeros((SIZE, SIZE), bool)
    inside[4:12, 4:12] = True
    assert (masked[inside] == 128).all()
    assert (masked[~inside] == original[~inside]).all()
    model = InpaintingDiffusion.load(trained)
    images = torch.from_numpy(pixels[table.index[table["kind"] == "original"]]).permute(0, 3, 1, 2) / 255
    shown = model.cover(images, torch.from_numpy(inside).float().expand(2, 1, -1, -1))
    noise = SampleNoise(0, inpainting.NAME, ["val/1", "val/0"]).normal(*model.latent_shape)
    alone, with_surroundings = (
        (draw(model, WORDS, noise, PARAMS["sample_steps"], PARAMS["sample_guidance"], *what)[0] * 255).round() for what in ((), shown)
    )
    assert torch.equal(torch.from_numpy(repainted).permute(2, 0, 1).float(), with_surroundings)
    assert not torch.equal(alone, with_surroundings)
    drawn = pixels[table.index[table["kind"] == "drawn"]]
    assert len({image.tobytes() for image in drawn}) == 2 * inpainting.DRAWN
    provenance = json.loads((trained / "penumbra.json").read_text())
    assert provenance["params"]["pretrain"]["inpainting"] == PARAMS
    assert read_provenance(trained / "samples.parquet") == provenance


def test_a_killed_training_resumes_to_the_same_bytes(reads, trained, tmp_path, monkeypatch):
    stage = make_stage(reads, tmp_path)
    calls = killed(monkeypatch, painter, "train_epoch", 2, lambda: inpainting.main(stage))
    assert not stage.write().exists()
    inpainting.main(stage)
    assert len(calls) == 4  # nothing but the interrupted epoch was begun twice
    assert contents(stage.write()) == contents(trained)


def test_validation_sees_the_averages_with_equal_masks_and_noise(reads, tmp_path, monkeypatch):
    seen, losses, live, update = [], painter.validation_loss, [], painter.MovingAverage.update

    def spying(model, pictures, p, draws):
        seen.append((draws.get_state(), [tensor.clone() for tensor in model.unet.parameters()], len(pictures)))
        return losses(model, pictures, p, draws)

    def listening(average, unet):
        live.append(unet.conv_in.weight.detach().clone())
        update(average, unet)

    monkeypatch.setattr(painter, "validation_loss", spying)
    monkeypatch.setattr(painter.MovingAverage, "update", listening)
    stage = make_stage(reads, tmp_path)
    inpainting.main(stage)
    (first, _, count), (second, weights, _) = seen  # epochs 2 and 3
    assert torch.equal(first, second)
    assert count == 6
    saved = InpaintingDiffusion.load(stage.write()).unet
    assert all(torch.equal(tensor, other) for tensor, other in zip(weights, saved.parameters(), strict=True))
    average = painter.untrained(LatentDiffusion.load(reads["models/diffusion"])).unet.conv_in.weight
    for number, weight in enumerate(live, start=1):
        decay = min(PARAMS["ema_decay"], (1 + number) / (10 + number))
        average = decay * average + (1 - decay) * weight
    torch.testing.assert_close(saved.conv_in.weight, average)


@given(st.integers(8, 40), st.integers(0, 2**31), st.floats(0, 1))
@settings(max_examples=40)
def test_a_mask_is_a_box_in_the_image_or_the_whole_image(size, seed, whole):
    masks = painter.random_masks(8, size, whole, generator(seed))
    assert masks.shape == (8, 1, size, size)
    for mask in masks[:, 0]:
        rows, columns = mask.amax(1), mask.amax(0)
        assert torch.equal(mask, rows[:, None] * columns)
        for side in (rows, columns):
            length = int(side.sum())
            start = int(side.argmax())
            assert side[start : start + length].all()
            assert length == size or round(0.25 * size) <= length <= round(0.75 * size)


def test_the_share_of_whole_masks_is_kept_and_boxes_reach_every_pixel():
    masks = painter.random_masks(4000, 16, 0.25, generator(0))
    everything = masks.flatten(1).all(1)
    assert everything.float().mean().item() == pytest.approx(0.25, abs=0.03)
    covered = masks[~everything].mean(0)[0]
    assert covered.min() > 0.005
    torch.testing.assert_close(covered, covered.flip(0, 1), atol=0.06, rtol=0)


def test_the_loss_is_the_error_of_the_noise_and_captions_are_dropped(reads, tmp_path):
    model = painter.untrained(LatentDiffusion.load(reads["models/diffusion"]))
    images = torch.randint(256, (3, 3, SIZE, SIZE), generator=generator(0)).to(torch.uint8)
    pictures = inpainting.gather(model, images, ["one", "two", "one"], ["{}", "a {}"], tmp_path / "latents.npy")
    seen = []
    model.eps = lambda z, t, condition, mask, masked: seen.append((z, condition, mask, masked)) or torch.zeros_like(z)
    noise = torch.randn(2, 4, 8, 8, generator=generator(1))
    masks = inpainting.middle((SIZE, SIZE)).repeat(2, 1, 1, 1)
    drawn = painter.Draw(masks, torch.tensor([1, 0]), torch.tensor([False, True]), noise)
    rows, t = torch.tensor([2, 1]), torch.tensor([3, 700])
    loss = painter.painting_loss(model, pictures, rows, t, drawn, model.embed([""])[0])
    assert loss.item() == pytest.approx(noise.square().mean().item())
    ((z, condition, mask, masked),) = seen
    abar = model.scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
    torch.testing.assert_close(z, abar.sqrt() * model.encode(images[rows] / 255) + (1 - abar).sqrt() * noise)
    torch.testing.assert_close(condition, model.embed(["a one", ""]))
    expected = model.cover(images[rows] / 255, masks)
    assert torch.equal(mask, expected[0])
    torch.testing.assert_close(masked, expected[1])


def test_a_published_directory_is_imported_as_it_is(reads, tmp_path):
    published = write_tiny_inpainting(tmp_path / "published", image_size=24)
    stage = make_stage(reads, tmp_path, pipeline=str(published))
    inpainting.main(stage)
    loaded, original = InpaintingDiffusion.load(stage.write()), InpaintingDiffusion.load(published)
    assert all(torch.equal(tensor, original.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    assert loaded.levels(7) == original.levels(7)
    assert not (stage.write() / "history.csv").exists()
    assert next(iter_pixels(stage.write() / "samples.parquet")).shape[1:] == (24, 24, 3)


def test_what_does_not_fit_leaves_nothing(reads, tmp_path):
    stage = make_stage(reads, tmp_path, pipeline=str(reads["models/diffusion"]))
    with pytest.raises(PenumbraError, match="takes 4 channels, .* Name an in-painting pipeline"):
        inpainting.main(stage)
    larger = reads | {"models/diffusion": write_tiny_pipeline(tmp_path / "larger", image_size=32)}
    with pytest.raises(PenumbraError, match="draws images of 32 x 32 pixels, and those of common.image_size have 16. Name an in-painting"):
        inpainting.main(make_stage(larger, tmp_path))
    assert not stage.write().exists()
