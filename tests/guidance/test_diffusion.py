"""The closed forms of diffusion: forward noise, DDIM, prompts."""

import pytest
import torch

from penumbra.guidance import diffusion
from penumbra.schedules import Levels, cumulative_alphas, linear_betas

ABAR = cumulative_alphas(linear_betas(1000, 0.0015, 0.0195))


def test_forward_noise_has_the_variance_of_the_schedule():
    noise = torch.randn(20_000, 4, generator=torch.Generator().manual_seed(0))
    noisy = diffusion.q_sample(torch.ones(20_000, 4), ABAR[300], noise)
    assert noisy.mean().item() == pytest.approx(ABAR[300].sqrt().item(), abs=0.01)
    assert noisy.var().item() == pytest.approx(1 - ABAR[300].item(), abs=0.01)


def test_deterministic_ddim_with_the_true_z0_stays_on_the_forward_path():
    z0, noise = torch.randn(2, 5, 8, dtype=torch.float64)
    z = diffusion.q_sample(z0, ABAR[300], noise)
    for t, previous in [(300, 200), (200, 4)]:
        z = diffusion.ddim_step(z, z0, ABAR[t].item(), ABAR[previous].item(), eta=0.0)
        torch.testing.assert_close(z, diffusion.q_sample(z0, ABAR[previous], noise))


def test_ddim_with_eta_1_between_neighbours_is_the_ddpm_posterior():
    z0, noise, fresh = torch.randn(3, 5, 8, dtype=torch.float64)
    t, betas = 300, linear_betas(1000, 0.0015, 0.0195)
    z = diffusion.q_sample(z0, ABAR[t], noise)
    mean = betas[t] * ABAR[t - 1].sqrt() / (1 - ABAR[t]) * z0 + (1 - ABAR[t - 1]) * (1 - betas[t]).sqrt() / (1 - ABAR[t]) * z
    variance = betas[t] * (1 - ABAR[t - 1]) / (1 - ABAR[t])
    stepped = diffusion.ddim_step(z, z0, ABAR[t].item(), ABAR[t - 1].item(), eta=1.0, noise=fresh)
    torch.testing.assert_close(stepped, mean + variance.sqrt() * fresh)


def test_a_last_alpha_of_one_returns_the_clean_prediction():
    z_t, z0 = torch.randn(2, 5, 8, dtype=torch.float64)
    torch.testing.assert_close(diffusion.ddim_step(z_t, z0, ABAR[4].item(), 1.0, eta=1.0, noise=torch.randn(5, 8)), z0)


def test_classifier_free_guidance_is_the_conditional_prediction_at_one_and_the_unconditional_at_zero():
    def eps(z, t, conditions):
        return t * z + conditions.mean((1, 2)).view(-1, 1, 1, 1)

    z, condition, empty = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 6), torch.randn(1, 5, 6)
    without, given = (diffusion.classifier_free(eps, condition, empty, scale)(z, 7) for scale in (0.0, 1.0))
    torch.testing.assert_close(without, eps(z, 7, empty.expand(2, -1, -1)))
    torch.testing.assert_close(given, eps(z, 7, condition))
    torch.testing.assert_close(diffusion.classifier_free(eps, condition, empty, 2.5)(z, 7), without + 2.5 * (given - without))


def test_ddim_with_the_true_noise_ends_at_the_clean_sample_seen_through_the_last_level():
    levels = Levels((2, 1, 0), (1, 0, -1), (0.9, 0.5, 0.1), final=0.99)
    z0, noise = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    torch.testing.assert_close(
        diffusion.ddim_sample(lambda z, t: noise, diffusion.q_sample(z0, 0.1, noise), levels), diffusion.q_sample(z0, 0.99, noise)
    )
