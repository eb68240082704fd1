"""Fake-it: a UNet of the pipeline's kind that has seen ID images for a while, and what it draws."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from diffusion_files import IMAGES, SIZE, make_stage, rows_of, write_inputs

from penumbra.artifacts.images import read_pixels
from penumbra.guidance.diffusion import q_sample
from penumbra.models.latent import LatentDiffusion
from penumbra.synthesize.fakeit import draw, plan
from penumbra.synthesize.fakeit.draw import denoising_loss, train, untrained
from penumbra.synthesize.fakeit.params import FakeIt

P = FakeIt(method="fakeit", epochs=2, batch_size=8, learning_rate=0.01, weight_decay=0.0, prompt="{}", per_class=3, steps=2)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def model(inputs):
    return untrained(LatentDiffusion.load(inputs / "diffusion"), 0)


def draws_of(seed=0):
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(IMAGES, 4, SIZE // 2, SIZE // 2, generator=draws), torch.randn(2, 16, 16, generator=draws), torch.arange(IMAGES) % 2


def test_the_loss_is_the_error_of_the_noise_in_a_noisy_latent(model):
    z0, conditions, labels = draws_of()
    t, noise = torch.arange(IMAGES) * 40, torch.randn(z0.shape, generator=torch.Generator().manual_seed(1))
    errors = []
    for row in range(IMAGES):
        abar = model.scheduler.alphas_cumprod[t[row]]
        predicted = model.unet(q_sample(z0[row], abar, noise[row])[None], t[row], conditions[labels[row]][None]).sample[0]
        errors.append(F.mse_loss(predicted, noise[row]))
    torch.testing.assert_close(denoising_loss(model, z0, conditions[labels], t, noise), torch.stack(errors).mean(), rtol=1e-4, atol=1e-5)


def test_it_starts_from_fresh_weights_learns_and_is_not_trained_twice(inputs, model, tmp_path):
    published = LatentDiffusion.load(inputs / "diffusion").unet.state_dict()
    start = {name: value.clone() for name, value in model.unet.state_dict().items()}
    assert all(not torch.equal(start[name], published[name]) for name in ("conv_in.weight", "conv_out.weight"))
    z0, conditions, labels = draws_of()
    t, noise = torch.arange(IMAGES) * 40, torch.randn(z0.shape, generator=torch.Generator().manual_seed(1))
    before = denoising_loss(model, z0, conditions[labels], t, noise)
    longer = P.model_copy(update={"epochs": 12})
    train(model, z0, labels, conditions, longer, 0, tmp_path)
    assert denoising_loss(model, z0, conditions[labels], t, noise) < 0.9 * before
    again = untrained(model, 0)
    assert all(torch.equal(value, start[name]) for name, value in again.unet.state_dict().items())
    train(again, z0[:0], labels[:0], conditions, longer, 0, tmp_path)  # there is nothing to learn from: what lies there is taken
    assert all(torch.equal(value, model.unet.state_dict()[name]) for name, value in again.unet.state_dict().items())
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_it_learns_from_latents_on_the_disk_what_it_does_from_those_of_all_images_in_memory(inputs, tmp_path, monkeypatch):
    taught = []
    monkeypatch.setattr(draw, "train", lambda *given: taught.append(given))
    monkeypatch.setattr(draw, "BLOCK", 7)
    draw.open_blocks(make_stage(inputs, tmp_path, P))
    ((model, stored, *rest),) = taught
    pixels = torch.from_numpy(read_pixels(inputs / "train.parquet")).permute(0, 3, 1, 2).float() / 255
    held = torch.cat([model.encode(part) for part in pixels.split(7)])
    weights = []
    for name, latents in (("disk", stored), ("memory", held)):
        fresh = untrained(model, 0)
        train(fresh, latents, *rest[:-1], tmp_path / name)
        weights.append(fresh.unet.state_dict().values())
    assert all(torch.equal(*pair) for pair in zip(*weights, strict=True))


def test_it_writes_candidates_of_each_class_the_same_in_parts(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "BLOCK", 2)
    whole, parts = (make_stage(inputs, tmp_path / place, P) for place in ("whole", "parts"))
    plan.main(whole)
    rows = rows_of(whole)
    assert rows.label.tolist() == [0, 0, 0, 1, 1, 1] and rows.prompt.tolist() == ["cat"] * 3 + ["dog"] * 3
    assert rows.image.map(lambda image: image["bytes"]).is_unique
    for index in (1, 0):
        plan.main(replace(parts, part=(index, 2)))
    plan.main(parts)
    assert parts.write("outliers").read_bytes() == whole.write("outliers").read_bytes()
