"""An in-painting pipeline taken apart: diffusers' own results, what the UNet is shown, what is kept, and what does not fit."""

import json

import pytest
import torch

from penumbra.errors import PenumbraError
from penumbra.guidance.diffusion import ddim_step
from penumbra.models.inpainting import InpaintingDiffusion
from penumbra.models.latent import LatentDiffusion
from tiny_pipeline import write_tiny_inpainting, write_tiny_pipeline

from diffusers import DDIMScheduler, StableDiffusionInpaintPipeline  # isort: skip

PROMPTS = ["a cat", "dog"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return write_tiny_inpainting(tmp_path_factory.mktemp("pipeline") / "tiny")


@pytest.fixture(scope="module")
def model(directory):
    return InpaintingDiffusion.load(directory)


def latents(model, batch, seed=0):
    return torch.randn(batch, *model.latent_shape, generator=torch.Generator().manual_seed(seed))


def boxes(size):
    """One mask on the left and one at the bottom, [2, 1, size, size]."""
    mask = torch.zeros(2, 1, size, size)
    mask[0, :, :, : size // 2] = 1
    mask[1, :, size // 2 + 1 :] = 1
    return mask


def official_images(directory, images, mask, noise, steps, guidance):
    """What diffusers' own pipeline paints with DDIM, its posterior made certain: it takes a sample of it where we take the mean."""
    official = StableDiffusionInpaintPipeline.from_pretrained(directory, safety_checker=None)
    official.scheduler = DDIMScheduler.from_config(official.scheduler.config, clip_sample=False)
    encode = official.vae.encode

    def certain(x):
        encoded = encode(x)
        encoded.latent_dist.std.zero_()
        return encoded

    official.vae.encode = certain
    official.set_progress_bar_config(disable=True)
    call = {"latents": noise, "num_inference_steps": steps, "guidance_scale": guidance, "strength": 1.0, "output_type": "pt"}
    size = {"height": images.shape[2], "width": images.shape[3]}
    return official(PROMPTS, image=images, mask_image=mask, **size, **call).images


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("whole", [True, False])
def test_repainting_by_eps_ends_where_the_official_pipeline_does(tmp_path, prediction, whole):
    model = InpaintingDiffusion.load(write_tiny_inpainting(tmp_path / "tiny", prediction=prediction))
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    z = noise = latents(model, 2)
    shown = () if whole else [part.repeat(2, 1, 1, 1) for part in model.cover(images, boxes(16))]
    conditions = model.embed(["", "", *PROMPTS])
    levels = model.levels(4)
    for t, abar, abar_prev in zip(levels.timesteps, levels.abar, levels.abar_prev, strict=True):
        unconditional, conditional = model.eps(torch.cat([z, z]), t, conditions, *shown).chunk(2)
        eps = unconditional + 3 * (conditional - unconditional)
        z = ddim_step(z, (z - (1 - abar) ** 0.5 * eps) / abar**0.5, abar, abar_prev, eta=0.0)
    mask = torch.ones(2, 1, 16, 16) if whole else boxes(16)
    expected = official_images(tmp_path / "tiny", images, mask, noise, steps=4, guidance=3.0)
    torch.testing.assert_close(model.decode(z).clamp(0, 1), expected, rtol=1e-3, atol=1e-4)


def test_the_unet_sees_latents_mask_and_masked_latents_in_this_order(model):
    z, condition = latents(model, 2), model.embed(PROMPTS)
    mask, masked = boxes(8), latents(model, 2, seed=1)
    expected = model.unet(torch.cat([z, mask, masked], 1), 500, condition).sample
    torch.testing.assert_close(model.eps(z, 500, condition, mask, masked), expected)


def test_without_a_mask_it_sees_ones_and_a_grey_image(model):
    z, condition = latents(model, 2), model.embed(PROMPTS)
    grey = model.encode(torch.full((2, 3, 16, 16), 0.5))
    torch.testing.assert_close(model.eps(z, 500, condition), model.eps(z, 500, condition, torch.ones(2, 1, 8, 8), grey))
    everything = model.cover(torch.rand(1, 3, 16, 16), torch.ones(1, 1, 16, 16))
    torch.testing.assert_close(model.eps(z, 500, condition, *everything), model.eps(z, 500, condition))


def test_the_grey_image_is_encoded_once_for_each_size(directory, monkeypatch):
    model, sizes = InpaintingDiffusion.load(directory), []
    encode = model.vae.encode
    monkeypatch.setattr(model.vae, "encode", lambda x: sizes.append(tuple(x.shape)) or encode(x))
    condition = model.embed(["a"])
    for shape in ((1, 4, 8, 8), (1, 4, 4, 8), (1, 4, 8, 8)):
        model.eps(torch.zeros(shape), 1, condition)
    assert sizes == [(1, 3, 16, 16), (1, 3, 8, 16)]


def test_what_is_under_the_mask_is_not_seen_and_what_is_beside_it_is(model):
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    mask = boxes(16)[:1]
    other = torch.where(mask > 0, 1 - images, images)
    assert torch.equal(model.cover(images, mask)[1], model.cover(other, mask)[1])
    assert not torch.allclose(model.cover(images, mask)[1], model.cover(images, 1 - mask)[1])
    torch.testing.assert_close(model.cover(images, mask)[0], boxes(8)[:1])


def test_gradients_reach_the_latents(model):
    z = latents(model, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(model.eps(z, 500, model.embed(["a"])).sum(), z)
    assert gradient.abs().min() > 0


def test_its_sizes_are_those_of_the_latents_and_not_of_the_input(model):
    assert model.latent_shape == (4, 8, 8)
    assert model.image_size == (16, 16)
    assert model.encode(torch.rand(1, 3, 16, 16)).shape[1:] == model.latent_shape


def test_the_noise_levels_of_a_pndm_scheduler_are_those_of_ddim(model):
    assert model.levels(4).timesteps == (751, 501, 251, 1)


def test_saved_the_official_pipeline_loads_it_with_the_same_weights(model, directory, tmp_path):
    model.eps(latents(model, 1), 1, model.embed(["a"]))  # the kept latents are no weights
    model.save_pretrained(tmp_path / "saved")
    assert json.loads((tmp_path / "saved/model_index.json").read_text())["_class_name"] == "StableDiffusionInpaintPipeline"
    official = StableDiffusionInpaintPipeline.from_pretrained(tmp_path / "saved", safety_checker=None)
    assert official.unet.config.in_channels == 9
    again = InpaintingDiffusion.load(tmp_path / "saved")
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in again.state_dict().items())
    files = [sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file()) for folder in (tmp_path / "saved", directory)]
    assert files[0] == files[1]


def test_a_pipeline_of_the_other_kind_is_refused_with_the_remedy(directory, tmp_path):
    with pytest.raises(PenumbraError, match="unet: takes 4 channels, .*vae have 4. Name an in-painting pipeline: its UNet takes 2 C"):
        InpaintingDiffusion.load(write_tiny_pipeline(tmp_path / "text"))
    with pytest.raises(PenumbraError, match="unet: takes 9 channels, .*vae have 4. Name a text-to-image pipeline"):
        LatentDiffusion.load(directory)
