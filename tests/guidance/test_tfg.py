"""Training-free guidance against closed forms, a literal two-pass formula, and DDIM written down again."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penumbra.guidance import tfg
from penumbra.guidance.tfg import Guidance, guided_sample
from penumbra.models.latent import ddim_levels
from penumbra.noise import SampleNoise
from penumbra.schedules import Levels, cumulative_alphas, linear_betas

from diffusers import DDIMScheduler, PNDMScheduler  # isort: skip

SCHEDULER = DDIMScheduler(
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    clip_sample=False,
    set_alpha_to_one=False,
    steps_offset=1,
    timestep_spacing="leading",
)
ABAR = cumulative_alphas(linear_betas(1000, 0.00085, 0.012))  # in float64; the scheduler computes in float32
T1 = Levels((751, 501, 251, 1), (501, 251, 1, 0), tuple(ABAR.tolist()), final=1.0)
WEIGHTS = torch.tensor([[0.3, -0.5, 0.2], [0.1, 0.4, -0.2], [-0.6, 0.1, 0.2]], dtype=torch.float64)


def noises(ids=("a", "b"), purpose="sampler"):
    return SampleNoise(0, purpose, ids)


def sample(eps, log_f, x, levels, guidance, ids=None):
    ids = ids or [str(row) for row in range(len(x))]
    return guided_sample(eps, log_f, x, levels, guidance, noises(ids), noises(ids, "smoothing"))


def network(x, t):
    """A predictor of noise whose Jacobian is not symmetric."""
    return torch.tanh(x @ WEIGHTS.to(x).T) * (1 + t / 1000)


def target(x0):
    return -((x0 - torch.tensor([1.0, -2.0, 0.5]).to(x0)) ** 2).sum(1) + torch.sin(x0[:, 0] * x0[:, 1])


def start(batch=4):
    return torch.randn(batch, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def refuse(x0):
    raise AssertionError("log f is called")


def test_levels_and_ramp_are_those_of_the_fixture():
    levels = ddim_levels(SCHEDULER, 4)
    assert levels.timesteps == T1.timesteps
    assert levels.abar == pytest.approx(T1.abar, rel=1e-5) and levels.abar_prev == pytest.approx(T1.abar_prev, rel=1e-5)
    assert T1.abar == pytest.approx([0.05571903, 0.27499907, 0.67215147, 0.99829603], abs=1e-6)
    ratios = [a / b for a, b in zip(T1.abar, T1.abar_prev, strict=True)]
    assert ratios == pytest.approx([0.20261534, 0.40913258, 0.67329875, 0.9991453], abs=1e-6)
    assert tfg.ramp("increase", T1) == pytest.approx([0.35481315, 0.71645919, 1.17905808, 1.74966958], abs=1e-6)


def test_ramps_have_mean_one_and_the_direction_of_their_name():
    levels = ddim_levels(SCHEDULER, 20)
    for kind in ("increase", "decrease", "constant"):
        assert sum(tfg.ramp(kind, levels)) == pytest.approx(20)
    assert tfg.ramp("increase", levels)[0] < tfg.ramp("increase", levels)[-1]
    assert tfg.ramp("decrease", levels)[0] > tfg.ramp("decrease", levels)[-1]
    assert set(tfg.ramp("constant", levels)) == {1.0}
    fall = tfg.spreads("decrease", levels)
    assert fall == pytest.approx([(1 - a) ** 0.5 for a in levels.abar]) and fall == sorted(fall, reverse=True)
    assert set(tfg.spreads("constant", levels)) == {1.0}


def test_guided_steps_are_those_of_the_fixture():
    x, seen = torch.tensor([[0.7], [-1.2]], dtype=torch.float64), []

    def eps(x, t):
        seen.append(x.detach().flatten().tolist())
        return 0.3 * x

    guidance = Guidance(rho=0.5, mu=0.5, gamma=0.0)
    last = sample(eps, lambda x0: -((x0[:, 0] - 2) ** 2) / 2, x, T1, guidance)
    expected = [[1.1517218, 4.9522576], [1.93566143, 1.13683671], [2.03633255, 2.28118832], [2.00746576, 1.8305063]]
    assert len(seen) == 4
    for got, want in zip([*seen[1:], last.flatten().tolist()], expected, strict=True):
        assert got == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_strength_it_is_ddim_bit_for_bit_and_log_f_is_never_called(eta, dtype):
    levels, x, stream = ddim_levels(SCHEDULER, 7), start().to(dtype), noises([str(row) for row in range(4)])
    guided = sample(network, refuse, x, levels, Guidance(0.0, 0.0, 0.1, eta=eta))
    for t, a, b in zip(levels.timesteps, levels.abar, levels.abar_prev, strict=True):
        clean = (x - (1 - a) ** 0.5 * network(x, t)) / a**0.5
        spread = eta * ((1 - b) / (1 - a) * (1 - a / b)) ** 0.5
        x = b**0.5 * clean + (1 - b - spread**2) ** 0.5 * ((x - a**0.5 * clean) / (1 - a) ** 0.5)
        if eta:
            x = x + spread * stream.normal(3).to(x)
    assert torch.equal(guided, x)


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("steps", [3, 10])
def test_without_strength_it_is_the_scheduler_of_diffusers(eta, steps):
    scheduler = DDIMScheduler.from_config(SCHEDULER.config)
    scheduler.set_timesteps(steps)
    x, stream = start(), noises(list("0123"))
    guided = sample(network, refuse, x, ddim_levels(SCHEDULER, steps), Guidance(0.0, 0.0, 0.0, eta=eta))
    for t in scheduler.timesteps:
        fresh = stream.normal(3).double() if eta else None
        x = scheduler.step(network(x, int(t)), t, x, eta=eta, variance_noise=fresh).prev_sample
    torch.testing.assert_close(guided, x, rtol=1e-6, atol=1e-6)


def two_passes(x, levels, guidance, ids):
    """Algorithm 1 as it is printed: one pass for each gradient, each from scratch; one sample at a time."""
    results = []
    rho_ramp, mu_ramp = tfg.ramp(guidance.rho_schedule, levels), tfg.ramp(guidance.mu_schedule, levels)
    for row, sample_id in enumerate(ids):
        z, sampler, smoothing = x[row : row + 1], noises([sample_id]), noises([sample_id], "smoothing")
        for index, (t, a, b) in enumerate(zip(levels.timesteps, levels.abar, levels.abar_prev, strict=True)):
            for left in reversed(range(guidance.recurrences)):
                spread = guidance.gamma * (math.sqrt(1 - a) if guidance.gamma_schedule == "decrease" else 1)
                shifts = [spread * d for d in smoothing.normal(guidance.draws, 3)[0].to(z)]

                def f(x0, shifts=shifts):
                    return torch.stack([target(x0 + shift).exp() for shift in shifts]).mean(0).log()

                def clean(z, t=t, a=a):
                    x0 = (z - (1 - a) ** 0.5 * network(z, t)) / a**0.5
                    return x0 if guidance.clip is None else x0.clamp(-guidance.clip, guidance.clip)

                fresh = sampler.normal(3).to(z) if guidance.eta else torch.zeros_like(z)
                variance = torch.func.grad(lambda z, f=f, clean=clean: f(clean(z)).sum())(z)
                x0 = y = clean(z)
                for _ in range(guidance.iterations):
                    y = y + guidance.mu * mu_ramp[index] * torch.func.grad(lambda y, f=f: f(y).sum())(y)
                s = guidance.eta * ((1 - b) / (1 - a) * (1 - a / b)) ** 0.5
                prev = b**0.5 * x0 + (1 - b - s**2) ** 0.5 * (z - a**0.5 * x0) / (1 - a) ** 0.5 + s * fresh
                prev = prev + guidance.rho * rho_ramp[index] * variance / (a / b) ** 0.5 + b**0.5 * (y - x0)
                z = (a / b) ** 0.5 * prev + (1 - a / b) ** 0.5 * sampler.normal(3).to(z) if left else prev
        results.append(z)
    return torch.cat(results)


BASE = Guidance(rho=0.02, mu=0.03, gamma=0.2, eta=1.0)
VARIANTS = {
    "plain": {},
    "draws": {"draws": 3},
    "iterations": {"iterations": 4},
    "recurrences": {"recurrences": 3},
    "all": {"draws": 2, "iterations": 2, "recurrences": 2},
    "deterministic": {"eta": 0.0, "recurrences": 2},
    "clip": {"clip": 1.0},
    "schedules": {"rho_schedule": "decrease", "mu_schedule": "constant", "gamma_schedule": "constant"},
    "variance": {"mu": 0.0},
    "mean": {"rho": 0.0, "iterations": 2},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_one_pass_equals_the_formula_with_one_pass_for_each_gradient(name):
    guidance, levels, x = replace(BASE, **VARIANTS[name]), ddim_levels(SCHEDULER, 5), start()
    torch.testing.assert_close(sample(network, target, x, levels, guidance), two_passes(x, levels, guidance, list("0123")))


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in ("plain", "deterministic", "variance", "mean")])
def test_every_setting_counts(name):
    levels, x = ddim_levels(SCHEDULER, 5), start()
    plain, changed = (sample(network, target, x, levels, replace(BASE, **change)) for change in ({}, VARIANTS[name]))
    assert (plain - changed).abs().max() > 1e-3


@pytest.mark.parametrize(("iterations", "draws", "rho"), [(1, 1, 0.02), (3, 1, 0.02), (1, 2, 0.02), (1, 1, 0.0)])
def test_no_network_runs_twice_for_what_one_pass_gives(iterations, draws, rho):
    calls = {"eps": 0, "eps with gradient": 0, "log f": 0}

    def eps(x, t):
        calls["eps"] += 1
        calls["eps with gradient"] += x.requires_grad
        return network(x, t)

    def log_f(x0):
        calls["log f"] += 1
        return target(x0)

    sample(eps, log_f, start(), ddim_levels(SCHEDULER, 5), replace(BASE, iterations=iterations, draws=draws, rho=rho))
    assert calls == {"eps": 5, "eps with gradient": 5 if rho else 0, "log f": 5 * iterations * draws}


@given(strengths=st.lists(st.tuples(*[st.sampled_from([0.0, 0.01, 0.05])] * 2, st.sampled_from([0.0, 0.3])), min_size=2, max_size=5))
@settings(max_examples=25)
def test_a_sample_does_not_depend_on_its_batch_mates(strengths):
    rho, mu, gamma = (list(column) for column in zip(*strengths, strict=True))
    ids, x, levels = [str(row) for row in range(len(rho))], start(len(rho)), ddim_levels(SCHEDULER, 4)
    settings = replace(BASE, draws=2, recurrences=2, iterations=2)
    together = sample(network, target, x, levels, replace(settings, rho=rho, mu=mu, gamma=gamma), ids)
    for row in range(len(rho)):
        one = replace(settings, rho=rho[row], mu=mu[row], gamma=gamma[row])
        alone = sample(network, target, x[row : row + 1], levels, one, [ids[row]])
        torch.testing.assert_close(together[row : row + 1], alone)


def test_a_sample_without_strength_is_untouched_by_a_gradient_that_is_not_finite():
    def broken(x0):
        return torch.cat([target(x0[:1]), (x0[1:2, 0] * 0).sqrt(), target(x0[2:])])

    levels, x = ddim_levels(SCHEDULER, 4), start(3)
    guided = sample(network, broken, x, levels, replace(BASE, rho=[0.02, 0.0, 0.02], mu=[0.02, 0.0, 0.02]))
    plain = sample(network, refuse, x, levels, replace(BASE, rho=0.0, mu=0.0))
    assert torch.equal(guided[1], plain[1]) and guided.isfinite().all()


@pytest.mark.parametrize("kind", ["rho", "mu"])
def test_guidance_climbs_log_f_and_descends_it_with_the_sign_turned(kind):
    levels, x = ddim_levels(SCHEDULER, 10), start(32)
    strengths = {"rho": 0.0, "mu": 0.0}
    values = [target(sample(network, target, x, levels, replace(BASE, **strengths | {kind: value}))).mean() for value in (-0.01, 0.0, 0.01)]
    assert values[0] < values[1] < values[2]


def test_the_smoothed_log_f_is_the_log_of_the_mean_of_f():
    """Of a Gaussian f, whose convolution with a Gaussian is known."""
    x0, spread = torch.tensor([[0.5], [2.0]], dtype=torch.float64), 0.7
    shifts = spread * torch.randn(20000, 2, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wide = 1 + spread**2
    expected = -(x0[:, 0] ** 2) / (2 * wide) - math.log(wide) / 2
    torch.testing.assert_close(tfg.smoothed(lambda x: -(x[:, 0] ** 2) / 2, x0, shifts), expected, atol=0.02, rtol=0)


def test_the_repeated_levels_are_those_of_the_pndm_scheduler():
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1
    )
    scheduler.set_timesteps(20)
    levels = tfg.repeated(ddim_levels(SCHEDULER, 20))
    timesteps = scheduler.timesteps.tolist()
    assert list(levels.timesteps) == timesteps[:20]
    abar = scheduler.alphas_cumprod.double()
    assert list(levels.abar) == pytest.approx(abar[timesteps[:20]].tolist())
    assert list(levels.abar_prev) == pytest.approx(abar[timesteps[1:21]].tolist())
    moved = sample(network, target, start(), levels, replace(BASE, eta=1.0))
    assert moved.isfinite().all()
