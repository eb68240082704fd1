"""Denoising from a level of each image's own: against diffusers' DDIM, PNDM and SEGA, and independent of the batch."""

import numpy as np
import pytest
import torch

from penumbra.guidance.partial import edited
from penumbra.guidance.semantic import Edit
from penumbra.models.latent import LatentDiffusion
from penumbra.schedules import Levels
from tiny_pipeline import write_tiny_pipeline

from diffusers import PNDMScheduler, StableDiffusionPipeline  # isort: skip
from diffusers.pipelines.deprecated.semantic_stable_diffusion.pipeline_semantic_stable_diffusion import (  # isort: skip
    SemanticStableDiffusionPipeline,
)

STEPS = 6
SONA = Edit(scale=10.0, share=0.2)
PLAIN = Edit(scale=0.0, share=0.0)
SHAPE = (4, 8, 8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model = LatentDiffusion.load(write_tiny_pipeline(tmp_path_factory.mktemp("tiny")))
    model.double()  # a random UNet magnifies differences of rounding
    for parameter in model.text_encoder.parameters():
        parameter.mul_(3)  # untrained texts are almost one and the same
    return model


def eps_of(model):
    """Like model.eps, which rounds to float32."""
    return lambda z, t, condition: model.unet(z, t, condition).sample


def levels_of(model, sampler="ddim", steps=STEPS):
    return model.levels(steps).plms() if sampler == "pndm" else model.levels(steps)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def conditions_of(model, *texts):
    return torch.stack([model.embed(row) for row in texts])


def wave(z, t, condition):
    """A UNet without a matrix product: exact in any batch. A condition [B, 1, 1] sets its phase."""
    return torch.sin(3 * z + condition.to(z)[..., None] + t.view(-1, 1, 1, 1).to(z) / 500)


def phases(count):
    return torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64).view(3, 1, 1, 1).expand(3, count, 1, 1)


def test_without_guidance_it_is_plain_ddim_bit_for_bit(model):
    clean, noise, stops = normal(3, *SHAPE), normal(3, *SHAPE, seed=1), torch.full((3,), STEPS)
    unconditional = conditions_of(model, [""] * 3)
    result = edited(eps_of(model), clean, noise, stops, unconditional, PLAIN, levels_of(model))
    scheduler = model.scheduler
    scheduler.set_timesteps(STEPS)
    z = scheduler.add_noise(clean, noise, torch.tensor(model.levels(STEPS).timesteps[0]))
    ours = edited(eps_of(model), clean, noise, stops, unconditional, Edit(10.0, 0.2, False, False, False, False), levels_of(model))
    assert torch.equal(ours, result)
    for t in scheduler.timesteps:
        with torch.no_grad():
            z = scheduler.step(eps_of(model)(z, t, unconditional[0]), t, z, eta=0.0).prev_sample
    torch.testing.assert_close(result, z, rtol=1e-4, atol=1e-5)


def test_sona_without_masks_is_unconditional_denoising_bit_for_bit():
    """The masks are empty but conditions are asked for: psi is computed and nothing of it is used."""
    clean, noise, stops = normal(4, *SHAPE), normal(4, *SHAPE, seed=1), torch.tensor([4, 0, 6, 1])
    levels = Levels.ddim([5, 4, 3, 2, 1, 0], 1, torch.linspace(0.99, 0.1, 6), 1.0)
    asked = Edit(scale=10.0, share=0.2, warmup=(99, 99, 99))
    guided = edited(wave, clean, noise, stops, phases(4), asked, levels)
    assert torch.equal(guided, edited(wave, clean, noise, stops, phases(4)[:1], PLAIN, levels))
    assert not torch.equal(guided, edited(wave, clean, noise, stops, phases(4), SONA, levels))


@pytest.mark.parametrize("sampler", ["ddim", "pndm"])
@pytest.mark.parametrize("edit", [SONA, Edit(10.0, 0.2, warmup=(3, 1, 2), momentum_scale=0.3, momentum_beta=0.6)])
def test_a_sample_does_not_depend_on_its_batch(sampler, edit):
    clean, noise = normal(6, *SHAPE), normal(6, *SHAPE, seed=1)
    stops = torch.tensor([2, 0, 6, 5, 1, 6])
    levels = Levels.ddim([5, 4, 3, 2, 1, 0], 1, torch.linspace(0.99, 0.1, 6), 1.0)
    levels = levels.plms() if sampler == "pndm" else levels
    whole = edited(wave, clean, noise, stops, phases(6), edit, levels, sampler)
    assert whole.isfinite().all()
    for row in range(6):
        alone = edited(wave, clean[[row]], noise[[row]], stops[[row]], phases(1), edit, levels, sampler)
        assert torch.equal(whole[[row]], alone)


def test_no_unet_evaluation_is_wasted_and_three_go_in_one_batch():
    sizes = []

    def counted(z, t, condition):
        sizes.append(len(z))
        return wave(z, t, condition)

    stops = torch.tensor([2, 0, 4, 1])
    levels = Levels.ddim([5, 4, 3, 2, 1, 0], 1, torch.linspace(0.99, 0.1, 6), 1.0)
    edited(counted, normal(4, *SHAPE), normal(4, *SHAPE), stops, phases(4), SONA, levels)
    assert sizes == [3 * 3, 3 * 2, 3, 3]


def test_stop_zero_gives_the_latents_back():
    clean = normal(2, *SHAPE)
    levels = Levels.ddim([5, 3, 1], 2, torch.linspace(0.99, 0.1, 6), 1.0)
    assert torch.equal(edited(wave, clean, normal(2, *SHAPE, seed=1), torch.zeros(2, dtype=torch.int64), phases(2), SONA, levels), clean)


def test_every_sample_is_seen_at_each_of_its_own_timesteps():
    seen = {row: [] for row in range(3)}
    levels = Levels.ddim([50, 40, 30, 20, 10], 10, torch.linspace(0.99, 0.1, 60), 1.0)
    values = torch.arange(3.0).view(3, 1, 1, 1)

    def telling(z, t, condition):
        for row, step in zip(condition[:, 0, 0].long().tolist(), t.tolist(), strict=True):
            seen[row].append(step)
        return torch.zeros_like(z)

    conditions = values.view(1, 3, 1, 1)
    edited(telling, values.expand(3, *SHAPE), torch.zeros(3, *SHAPE), torch.tensor([1, 5, 3]), conditions, PLAIN, levels)
    assert seen == {0: [10], 1: [50, 40, 30, 20, 10], 2: [30, 20, 10]}


def test_a_model_that_knows_the_noise_leads_back_to_the_image():
    """DDIM then ends there from any stop."""
    clean, noise = normal(3, *SHAPE), normal(3, *SHAPE, seed=1)
    levels = Levels.ddim([5, 4, 3, 2, 1, 0], 1, torch.linspace(0.99, 0.1, 6), 1.0)
    for stop in (1, 3, 6):
        back = edited(lambda z, t, c: noise, clean, noise, torch.full((3,), stop), phases(3)[:1], PLAIN, levels)
        torch.testing.assert_close(back, clean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stop", [1, 2, 3, 5, 12, 13])
def test_plms_is_diffusers_pndm_started_in_its_middle(model, stop):
    """The official loop: the last `stop` entries of the scheduler's timesteps, noise added at the first of them."""
    steps = 12
    reference = PNDMScheduler.from_config(model.scheduler.config, skip_prk_steps=True)
    reference.set_timesteps(steps)
    visited = reference.timesteps[-stop:]
    clean, noise = normal(2, *SHAPE), normal(2, *SHAPE, seed=1)
    z = reference.add_noise(clean, noise, visited[:1])
    for t in visited:
        z = reference.step(wave(z, t.expand(2), phases(2)[0]), t, z).prev_sample
    levels = levels_of(model, "pndm", steps)
    assert list(levels.timesteps) == reference.timesteps.tolist()
    ours = edited(wave, clean, noise, torch.full((2,), stop), phases(2)[:1], PLAIN, levels, "pndm")
    torch.testing.assert_close(ours, z, rtol=1e-4, atol=1e-4)


def reference_sega(model, folder, latents, prompts, **edits):
    """Latents that diffusers' own SEGA pipeline ends at."""
    parts = StableDiffusionPipeline.from_pretrained(folder).components
    parts |= {"unet": model.unet, "text_encoder": model.text_encoder, "tokenizer": model.tokenizer, "scheduler": model.scheduler}
    parts = {name: part for name, part in parts.items() if name != "image_encoder"}
    pipeline = SemanticStableDiffusionPipeline(**parts, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        return pipeline(
            prompts, latents=latents, num_inference_steps=STEPS, eta=0.0, output_type="latent", return_dict=False, **edits
        )[0]  # fmt: skip


@pytest.mark.parametrize("share", [0.05, 0.25])
@pytest.mark.parametrize(("warmup", "momentum", "beta"), [(0, 0.0, 0.0), (2, 0.3, 0.6), (1, 0.1, 0.4)])
def test_sega_is_diffusers_sega(model, tmp_path, share, warmup, momentum, beta):
    folder = write_tiny_pipeline(tmp_path)
    clean, noise, stops = normal(2, *SHAPE), normal(2, *SHAPE, seed=1), torch.full((2,), STEPS)
    edit = Edit(
        5.0, share, remove=False, keep=False, spare=False, warmup=(99, 99, warmup),
        momentum_scale=momentum, momentum_beta=beta, text="id", text_guidance=7.5,
    )  # fmt: skip
    levels = levels_of(model)
    conditions = conditions_of(model, ["", ""], ["three", "four"], ["letter a"] * 2)
    ours = edited(eps_of(model), clean, noise, stops, conditions, edit, levels)
    start = model.scheduler.add_noise(clean, noise, torch.tensor(levels.timesteps[:1]))
    theirs = reference_sega(
        model, folder, start, ["three", "four"], guidance_scale=7.5, editing_prompt=["letter a"], edit_guidance_scale=5.0,
        edit_threshold=1 - share, edit_warmup_steps=warmup, edit_momentum_scale=momentum, edit_mom_beta=beta,
    )  # fmt: skip
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    unedited = edited(eps_of(model), clean, noise, stops, conditions[:2], Edit(0.0, 0.0, text="id", text_guidance=7.5), levels)
    assert (ours - unedited).abs().max() > 0.1


@pytest.mark.parametrize("warmup", [(0, 0), (1, 3), (3, 1)])
def test_warm_up_and_momentum_of_several_concepts_are_those_of_diffusers(model, tmp_path, warmup):
    """Removal and addition alone are SEGA with two concepts; an empty prompt switches its text guidance off."""
    folder = write_tiny_pipeline(tmp_path)
    clean, noise, stops = normal(1, *SHAPE), normal(1, *SHAPE, seed=1), torch.full((1,), STEPS)
    edit = Edit(6.0, 0.2, keep=False, spare=False, warmup=(99, *warmup), momentum_scale=0.3, momentum_beta=0.6)
    levels = levels_of(model)
    ours = edited(eps_of(model), clean, noise, stops, conditions_of(model, [""], ["three"], ["letter a"]), edit, levels)
    theirs = reference_sega(
        model, folder, model.scheduler.add_noise(clean, noise, torch.tensor(levels.timesteps[:1])), [""], guidance_scale=2.0,
        editing_prompt=["three", "letter a"], reverse_editing_direction=[True, False], edit_guidance_scale=[6.0, 6.0],
        edit_threshold=[0.8, 0.8], edit_warmup_steps=list(warmup), edit_momentum_scale=0.3, edit_mom_beta=0.6,
    )  # fmt: skip
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_sdedit_is_classifier_free_guidance_from_the_stop_on(model):
    clean, noise, stop = normal(2, *SHAPE), normal(2, *SHAPE, seed=1), 4
    conditions = conditions_of(model, [""] * 2, ["letter a", "letter b"])
    edit = Edit(9.0, 0.2, remove=False, keep=False, add=False, spare=False, text="ood", text_guidance=3.0)
    ours = edited(eps_of(model), clean, noise, torch.full((2,), stop), conditions, edit, levels_of(model))
    scheduler = model.scheduler
    scheduler.set_timesteps(STEPS)
    visited = scheduler.timesteps[-stop:]
    z = scheduler.add_noise(clean, noise, visited[:1])
    for t in visited:
        with torch.no_grad():
            uncond, cond = (eps_of(model)(z, t, condition) for condition in conditions)
        z = scheduler.step(uncond + 3.0 * (cond - uncond), t, z).prev_sample
    torch.testing.assert_close(ours, z, rtol=1e-4, atol=1e-4)


def test_the_record_tells_of_each_step_of_each_sample():
    seen = []
    levels = Levels.ddim([5, 3, 1], 2, torch.linspace(0.99, 0.1, 6), 1.0)
    edited(
        wave, normal(3, *SHAPE), normal(3, *SHAPE, seed=1), torch.tensor([1, 3, 0]), phases(3), SONA, levels,
        record=lambda step, rows, clean, masks: seen.append((step, rows.tolist(), len(clean), sorted(masks))),
    )  # fmt: skip
    names = ["add", "keep", "remove"]
    assert seen == [(0, [1, 0], 2, names), (1, [1], 1, names), (2, [1], 1, names)]
    assert np.isfinite(levels.at(torch.tensor([-1, 0, 5])).flatten().numpy()).all()
