"""SynOOD's repainting against direct computations, on a toy decoder, classifier and denoiser."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from penumbra.guidance.skip import Judge, OodLoss, denoised, judge_images, levels_left, loss_gradient, repaint, start_latents
from penumbra.schedules import Levels

from diffusers import DDIMScheduler, PNDMScheduler  # isort: skip

CLASSES, SHAPE = 5, (2, 3, 3)
SD2 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "set_alpha_to_one": False, "steps_offset": 1}
KINDS = ("energy", "hinge", "uniform")
LOGITS = arrays(np.float64, (4, CLASSES), elements=st.floats(-20, 20))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


WEIGHTS, BIAS, HEAD = normal(18, 27, seed=1) / 10, normal(27, seed=2) / 10, normal(27, CLASSES, seed=3)


def decode(u):
    return (torch.tanh(u.flatten(1) @ WEIGHTS + BIAS) / 3 + 0.5).unflatten(1, (3, 3, 3))


def classify(images):
    return 3 * images.flatten(1) @ HEAD


def judge(kind="energy", margin=-2.0, temperature=1.0, at_once=None, decode=decode):
    return Judge(decode, classify, OodLoss(kind, margin, temperature), at_once)


def denoise(noise):
    """A toy chain: not linear, and nothing of it may enter the update."""
    return torch.sin(noise) + noise / 2


def levels_of(sampler, steps=20):
    scheduler = DDIMScheduler(**SD2, timestep_spacing="leading")
    scheduler.set_timesteps(steps)
    levels = Levels.ddim(scheduler.timesteps.tolist(), 1000 // steps, scheduler.alphas_cumprod, float(scheduler.final_alpha_cumprod))
    return levels.plms() if sampler == "pndm" else levels


def test_the_official_loss_is_the_square_of_margin_less_centred_energy():
    logits = normal(6, CLASSES)
    expected = [(-5 - (row.mean() - math.log(sum(math.exp(value) for value in row)))) ** 2 for row in logits]
    torch.testing.assert_close(OodLoss("energy", -5.0, 1.0)(logits), torch.stack(expected))


def test_the_hinge_acts_only_on_energies_below_the_margin():
    """The term of Liu et al. for outliers: an energy as low as an ID image's is punished."""
    loss = OodLoss("hinge", -4.0, 1.0)
    logits = torch.tensor([[9.0, 0.0], [0.0, 0.0]])
    assert loss(logits)[0].item() == pytest.approx((math.log(math.exp(9) + 1) - 4) ** 2, rel=1e-5)
    assert loss(logits)[1].item() == 0


@given(LOGITS, st.floats(0.5, 4))
@settings(max_examples=50)
def test_the_uniform_loss_is_the_divergence_from_uniform(logits, temperature):
    logits = torch.from_numpy(logits)
    uniform = torch.full_like(logits, 1 / CLASSES)
    expected = F.kl_div((logits / temperature).log_softmax(1), uniform, reduction="none").sum(1)
    torch.testing.assert_close(OodLoss("uniform", 0.0, temperature)(logits), expected)


@given(LOGITS, st.floats(0.5, 4))
@settings(max_examples=50)
def test_the_centred_energy_knows_no_offset_and_equal_logits_bound_it(logits, temperature):
    logits = torch.from_numpy(logits)
    loss = OodLoss("energy", -1.0, temperature)
    energy = loss.energy(logits)
    torch.testing.assert_close(energy, loss.energy(logits + 7))
    assert (energy <= -temperature * math.log(CLASSES) + 1e-9).all()
    torch.testing.assert_close(loss.energy(torch.zeros(1, CLASSES)), torch.tensor([-temperature * math.log(CLASSES)]))


@pytest.mark.parametrize("kind", KINDS)
def test_less_loss_is_less_id(kind):
    """Eq. 7 as the paper writes it would go the other way: down its gradient the log-sum-exp rises."""
    logits = (2 * normal(8, CLASSES)).requires_grad_(True)
    loss = OodLoss(kind, -1.0, 1.0)
    (gradient,) = torch.autograd.grad(loss(logits).sum(), logits)
    moved = logits - 1e-4 * gradient
    changed = gradient.flatten(1).any(1)
    assert changed.any()
    assert (loss.energy(moved) > loss.energy(logits))[changed].all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_finite_differences_at_the_decoders_input(kind):
    u, eps = normal(2, *SHAPE, seed=4), 1e-6
    gradient, energy, loss = loss_gradient(judge(kind), u)
    direct = torch.zeros_like(u)
    for index in np.ndindex(*u.shape):
        sides = [OodLoss(kind, -2.0, 1.0)(classify(decode(_nudged(u, index, step))))[index[0]] for step in (eps, -eps)]
        direct[index] = (sides[0] - sides[1]) / (2 * eps)
    torch.testing.assert_close(gradient, direct, rtol=1e-5, atol=1e-7)
    logits = classify(decode(u))
    torch.testing.assert_close(loss, OodLoss(kind, -2.0, 1.0)(logits))
    torch.testing.assert_close(energy, OodLoss(kind, -2.0, 1.0).energy(logits))


def _nudged(u, index, step):
    moved = u.clone()
    moved[index] += step
    return moved


def test_an_images_gradient_does_not_depend_on_its_batch_or_on_parts():
    u = normal(5, *SHAPE, seed=4)
    whole = loss_gradient(judge(), u)
    for at_once in (1, 2):
        for found, expected in zip(loss_gradient(judge(at_once=at_once), u), whole, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(loss_gradient(judge(), u[[3]])[0], whole[0][[3]], rtol=1e-12, atol=1e-14)
    parts, images = (judge_images(judge(at_once=at_once), u) for at_once in (2, None))
    torch.testing.assert_close(parts.images, images.images, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(parts.loss, whole[2], rtol=1e-12, atol=1e-14)


def test_the_classifier_sees_no_value_that_cannot_be_stored():
    bright = judge(decode=lambda u: decode(u) + 10)
    assert not loss_gradient(bright, normal(2, *SHAPE))[0].any()
    white = classify(torch.ones(2, 3, 3, 3, dtype=torch.float64))
    torch.testing.assert_close(judge_images(bright, normal(2, *SHAPE)).loss, OodLoss("energy", -2.0, 1.0)(white))


@pytest.mark.parametrize("kind", KINDS)
def test_the_noise_follows_the_gradient_as_if_denoising_were_the_identity(kind):
    """Eq. 9 and 10 written out for three runs: two updates, each by the gradient at the decoder's input of that run."""
    noise, step = normal(3, *SHAPE, seed=5), 0.3
    made = repaint(denoise, judge(kind), noise, 3, step)
    inputs, losses = [], []
    for _ in range(3):
        u = denoise(noise).requires_grad_(True)
        loss = OodLoss(kind, -2.0, 1.0)(classify(decode(u)))
        inputs.append(u.detach())
        losses.append(loss.detach())
        noise = noise - step * torch.autograd.grad(loss.sum(), u)[0]
    for found, expected in zip(made.inputs, inputs, strict=True):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(made.loss, torch.stack(losses, 1))
    torch.testing.assert_close(made.last.images, decode(inputs[-1]))
    torch.testing.assert_close(made.energy[:, -1], OodLoss(kind, -2.0, 1.0).energy(classify(decode(inputs[-1]))))


@pytest.mark.parametrize("kind", KINDS)
def test_loss_falls_over_the_iterations(kind):
    made = repaint(denoise, judge(kind), normal(16, *SHAPE, seed=5), 6, 0.02)
    means = made.loss.mean(0)
    assert (means[1:] < means[:-1]).all()
    assert made.energy[:, -1].mean() > made.energy[:, 0].mean()


def test_a_step_of_zero_leaves_the_noise_unchanged():
    made = repaint(denoise, judge(), normal(3, *SHAPE, seed=5), 4, 0.0)
    assert all(torch.equal(u, made.inputs[0]) for u in made.inputs)
    torch.testing.assert_close(made.loss, made.loss[:, :1].expand(3, 4))


def test_an_image_that_the_hinge_has_let_go_stays_as_it_is():
    made = repaint(denoise, judge("hinge", margin=-100.0), normal(3, *SHAPE, seed=5), 3, 1.0)
    assert not made.loss.any()
    assert torch.equal(made.inputs[0], made.inputs[-1])


def test_repainting_an_image_does_not_depend_on_its_batch():
    noise = normal(4, *SHAPE, seed=5)
    whole, alone = repaint(denoise, judge(), noise, 3, 0.3), repaint(denoise, judge(), noise[[2]], 3, 0.3)
    torch.testing.assert_close(whole.last.images[[2]], alone.last.images, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(whole.loss[[2]], alone.loss, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("iterations", [1, 3])
def test_no_backward_pass_is_wasted_on_the_last_run(iterations):
    recorded = []

    def telling(u):
        recorded.append(torch.is_grad_enabled())
        return decode(u)

    repaint(denoise, judge(decode=telling), normal(2, *SHAPE), iterations, 0.1)
    assert recorded == [True] * (iterations - 1) + [False]


def test_the_official_sampler_goes_through_thirteen_timesteps():
    expected = [*range(601, 0, -50), 1][:13]
    assert list(levels_left(levels_of("pndm"), 20, 0.6).timesteps) == expected
    reference = PNDMScheduler(**SD2, skip_prk_steps=True)
    reference.set_timesteps(20)
    assert reference.timesteps[20 - int(20 * 0.6) :].tolist() == expected
    assert list(levels_left(levels_of("ddim"), 20, 0.6).timesteps) == expected[1:]
    assert len(levels_left(levels_of("ddim"), 20, 1.0)) == 20


@pytest.mark.parametrize(("sampler", "scheduler"), [("ddim", DDIMScheduler), ("pndm", PNDMScheduler)])
@pytest.mark.parametrize("strength", [0.1, 0.6, 1.0])
def test_denoising_is_that_of_diffusers_from_the_middle_of_its_timesteps(sampler, scheduler, strength):
    """As diffusers' in-painting does: noise is added at the first timestep that is left, and the scheduler knows nothing of it."""
    reference = scheduler(
        **SD2, **({"skip_prk_steps": True} if sampler == "pndm" else {"timestep_spacing": "leading", "clip_sample": False})
    )
    reference.set_timesteps(20)
    left = reference.timesteps[20 - int(20 * strength) :]

    def eps(z, t):
        return torch.sin(2 * z) + t / 1000

    clean, noise = normal(2, *SHAPE), normal(2, *SHAPE, seed=1)
    expected = reference.add_noise(clean, noise, left[:1])
    levels = levels_left(levels_of(sampler), 20, strength)
    z = start_latents(clean, noise, levels.abar[0])
    torch.testing.assert_close(z, expected, rtol=1e-5, atol=1e-6)
    for t in left:
        expected = reference.step(eps(expected, int(t)), t, expected).prev_sample
    torch.testing.assert_close(denoised(eps, z, levels, sampler), expected, rtol=1e-4, atol=1e-4)


def test_without_a_clean_share_the_image_does_not_matter():
    noise = normal(2, *SHAPE)
    assert torch.equal(start_latents(normal(2, *SHAPE, seed=1), noise, 0.0), noise)
