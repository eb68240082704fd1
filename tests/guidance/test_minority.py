"""Minority guidance against independent derivations and on a distribution whose posterior mean is known."""

from dataclasses import replace

import pytest
import torch

from penumbra.guidance import diffusion
from penumbra.guidance import minority as m
from penumbra.models.rdm import RDM
from penumbra.noise import SampleNoise
from penumbra.schedules import cumulative_alphas, linear_betas

ABAR = cumulative_alphas(linear_betas(1000, 0.0015, 0.0195))
METRIC = m.Metric(s=125, distance="l2")
LEVELS = m.reverse_levels(ABAR, t=300, stride=20, loop="guided", last_alpha="grid")
REVERSE = m.Reverse(eta=0.0, every=1, space="prev", norm="linf", variance=False)
D = 6


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def noise_of(ids, purpose="test"):
    return SampleNoise(0, purpose, ids)


@pytest.fixture(scope="module")
def rdm():
    torch.manual_seed(0)
    network = RDM(D, 32, 2, 8, 1000, 0.0015, 0.0195).double().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.requires_grad_(False)


def mixture_posterior_mean(centres, spread):
    """E[z0 | z_t] if z0 is an even mixture of N(centre, spread^2 I)."""

    def denoise(z, t):
        a = ABAR.to(z)[t][:, None]
        variance = a * spread**2 + 1 - a
        log_weight = -(z[:, None] - a[:, :, None].sqrt() * centres.to(z)).square().sum(-1) / (2 * variance)
        weight = log_weight.softmax(1)
        nearest = weight @ centres.to(z)
        return nearest + a.sqrt() * spread**2 / variance * (z - a.sqrt() * nearest)

    return denoise


def test_the_levels_descend_from_t_and_stay_above_zero_until_the_end():
    levels = m.reverse_levels(ABAR, 300, 4, "guided", "grid")
    assert (levels.timesteps[0], levels.timesteps[-1], len(levels)) == (300, 4, 75)
    assert levels.abar_prev == (*levels.abar[1:], ABAR[0].item())
    levels = m.reverse_levels(ABAR, 301, 100, "guided", "one")
    assert levels.timesteps == (301, 201, 101, 1)
    assert levels.abar_prev == (*(ABAR[t].item() for t in (201, 101, 1)), 1.0)
    levels = m.reverse_levels(ABAR, 300, 4, "single", "grid")
    assert (levels.timesteps, levels.abar_prev) == ((300,), (ABAR[0].item(),))


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_gradient_of_a_linear_denoiser_is_the_one_derived_by_hand(stop_gradient):
    first, second = randn(2, D, D)
    z, noise = randn(4, D, seed=1), randn(4, 3, D, seed=2)

    def denoise(z, t):
        return torch.where((t == METRIC.s)[:, None], z @ second.T, z @ first.T)

    gradient, z0 = m.minority_gradient(denoise, z, torch.full((4,), 300), ABAR, METRIC, noise, stop_gradient)
    torch.testing.assert_close(z0, z @ first.T)
    a = ABAR[METRIC.s]
    expected = torch.zeros_like(z)
    for row in range(4):
        for draw in range(3):
            u = first @ z[row] - second @ (a.sqrt() * first @ z[row] + (1 - a).sqrt() * noise[row, draw])
            jacobian = first if stop_gradient else first - a.sqrt() * second @ first
            expected[row] += jacobian.T @ u / u.norm() / 3
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("distance", m.DISTANCES)
@pytest.mark.parametrize("stop_gradient", [True, False])
def test_gradient_through_the_network_is_that_of_finite_differences(rdm, distance, stop_gradient):
    metric = m.Metric(125, distance)
    z, t, noise = randn(3, D, seed=1), torch.full((3,), 300), randn(3, 2, D, seed=2)
    gradient, z0 = m.minority_gradient(rdm, z, t, ABAR, metric, noise, stop_gradient)
    constant = m.discrepancy(rdm, z0, ABAR, metric, noise)[1]

    def score(z):
        if not stop_gradient:
            return m.minority_score(rdm, rdm(z, t), ABAR, metric, noise)
        return m.DISTANCES[distance](rdm(z, t)[:, None] - constant).mean(1)

    h = 1e-6
    for column in range(D):
        step = torch.zeros(D, dtype=torch.float64)
        step[column] = h
        slope = (score(z + step) - score(z - step)) / (2 * h)
        torch.testing.assert_close(gradient[:, column], slope, rtol=1e-5, atol=1e-7)


def test_the_score_of_a_gaussian_is_the_one_derived_by_hand():
    """The posterior mean of N(0, 1) is sqrt(abar) z, so z0 - z0_hat = (1 - abar) z0 - sqrt(abar (1 - abar)) n."""
    z0, noise, a = randn(5, D), randn(5, 4, D, seed=1), ABAR[125]
    score = m.minority_score(lambda z, t: ABAR[t][:, None].sqrt() * z, z0, ABAR, METRIC, noise)
    expected = ((1 - a) * z0[:, None] - (a * (1 - a)).sqrt() * noise).norm(dim=-1).mean(1)
    torch.testing.assert_close(score, expected)


def guide(denoise, z_t, scale, reverse=REVERSE, ids=None, push=None, levels=LEVELS):
    ids = ids or [str(i) for i in range(len(z_t))]
    push = push or m.minority_push(ABAR, METRIC, noise_of(ids, "guidance"), 1, True)
    return m.guided_reverse(denoise, z_t, levels, reverse, push, [scale] * len(z_t), noise_of(ids, "reverse"))


@pytest.mark.parametrize(
    ("space", "norm", "scale"), [("prev", "linf", 0.1), ("prev", "l2", 0.2), ("x0", "linf", 1.0), ("eps", "none", 10.0)]
)
def test_guided_samples_score_higher_than_unguided_ones_from_the_same_noise(space, norm, scale):
    centres = 3 * randn(5, D, seed=3)
    denoise = mixture_posterior_mean(centres, spread=0.5)
    z_t = diffusion.q_sample(centres.repeat(40, 1), ABAR[300], randn(200, D, seed=4))
    draws = randn(200, 64, D, seed=5)
    reverse = replace(REVERSE, space=space, norm=norm)
    before, after = (m.minority_score(denoise, guide(denoise, z_t, s, reverse), ABAR, METRIC, draws) for s in (0.0, scale))
    assert after.mean() > 1.05 * before.mean()
    assert (after > before).float().mean() > 0.8


def test_a_scale_of_zero_leaves_the_unguided_sample(rdm):
    z_t = randn(4, D)
    assert torch.equal(guide(rdm, z_t, 0.0), guide(rdm, z_t, 1.0, push=m.unguided()))


def test_a_distance_of_zero_pushes_nowhere():
    fresh = RDM(D, 32, 2, 8, 1000, 0.0015, 0.0195).eval()  # outputs 0 everywhere
    for distance in m.DISTANCES:
        metric = m.Metric(125, distance)
        gradient, _ = m.minority_gradient(fresh, torch.randn(3, D), torch.full((3,), 300), ABAR, metric, torch.randn(3, 1, D), True)
        for norm in m.NORMS:
            assert torch.equal(m.normalised(gradient, norm), torch.zeros(3, D))


def test_a_sample_does_not_depend_on_its_batch(rdm):
    z_t, ids = randn(6, D), [f"train/{i}" for i in range(6)]
    reverse = replace(REVERSE, eta=1.0)
    whole = guide(rdm, z_t, 0.05, reverse, ids)
    order = [4, 1]
    torch.testing.assert_close(guide(rdm, z_t[order], 0.05, reverse, [ids[i] for i in order]), whole[order], rtol=1e-9, atol=1e-9)


def test_no_evaluation_of_the_network_is_repeated(rdm):
    seen = []

    def counted(z, t):
        seen.append(t[0].item())
        return rdm(z, t)

    guide(counted, randn(2, D), 0.05)
    steps = list(range(300, 0, -20))
    assert [t for t in seen if t != METRIC.s] == steps
    assert len(seen) == 2 * len(steps)
    seen.clear()
    guide(counted, randn(2, D), 0.05, replace(REVERSE, every=3))
    assert len(seen) == len(steps) + 5


def test_single_takes_one_step_to_the_end(rdm):
    z_t = randn(3, D)
    z0 = rdm(z_t, torch.full((3,), 300))
    single = m.reverse_levels(ABAR, 300, 20, "single", "one")
    torch.testing.assert_close(guide(rdm, z_t, 0.0, levels=single), z0)
    moved = guide(rdm, z_t, 0.5, levels=single) - z0
    torch.testing.assert_close(moved.abs().amax(1), torch.full((3,), 0.5, dtype=torch.float64))


def test_the_last_alpha_says_how_much_noise_stays():
    z_t, z0 = randn(3, D), randn(3, D, seed=1)
    single = m.reverse_levels(ABAR, 300, 20, "single", "grid")
    result = guide(lambda z, t: z0, z_t, 0.0, push=m.unguided(), levels=single)
    eps = diffusion.predicted_noise(z_t, z0, ABAR[300].item())
    torch.testing.assert_close(result, ABAR[0].sqrt() * z0 + (1 - ABAR[0]).sqrt() * eps)


def test_a_push_in_eps_is_the_guidance_of_adm():
    """eps' = eps - sqrt(1 - abar) g; the clean prediction and the step follow from eps' (Dhariwal & Nichol, Alg. 2)."""
    z_t, z0, g = randn(3, 4, D)
    a, previous = ABAR[300].item(), ABAR[200].item()
    eps = diffusion.predicted_noise(z_t, z0, a) - (1 - a) ** 0.5 * g
    clean = (z_t - (1 - a) ** 0.5 * eps) / a**0.5
    expected = previous**0.5 * clean + (1 - previous) ** 0.5 * eps
    torch.testing.assert_close(m.guided_step(z_t, z0, g, a, previous, replace(REVERSE, space="eps"), None), expected)


def test_the_variance_factor_makes_the_guidance_of_ancestral_sampling():
    """mean + Sigma g (Dhariwal & Nichol, Alg. 1)."""
    z_t, z0, g, noise = randn(4, 4, D)
    a, previous = ABAR[300].item(), ABAR[296].item()
    reverse = replace(REVERSE, eta=1.0, variance=True)
    sigma = (1 - previous) / (1 - a) * (1 - a / previous)
    expected = diffusion.ddim_step(z_t, z0, a, previous, 1.0, noise) + sigma * g
    torch.testing.assert_close(m.guided_step(z_t, z0, g, a, previous, reverse, noise), expected)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_pushes_are_as_large_as_guided_ones(rdm, norm):
    """Table 7 compares directions, so the steps of both methods have one size."""
    z_t, ids, reverse = randn(4, D), list("abcd"), replace(REVERSE, norm=norm)
    single = m.reverse_levels(ABAR, 300, 20, "single", "grid")
    plain = guide(rdm, z_t, 0.0, reverse, levels=single)
    moves = [guide(rdm, z_t, 0.3, reverse, push=push, levels=single) - plain for push in (None, m.gaussian_push(noise_of(ids, "guidance")))]
    for move in moves:
        torch.testing.assert_close(m.NORMS[norm](move), torch.full((4, 1), 0.3, dtype=torch.float64))
