"""Noise schedules against published numbers; levels against those of diffusers' schedulers."""

import pytest
import torch

from penumbra.schedules import Levels, cumulative_alphas, linear_betas

from diffusers import PNDMScheduler  # isort: skip

PUBLISHED = {
    0: 0.9985, 1: 0.996994427, 5: 0.990916641, 100: 0.823117038, 124: 0.774939844, 125: 0.772895946, 200: 0.614584684,
    297: 0.413021781, 299: 0.409111680, 300: 0.407161984, 400: 0.234447023, 500: 0.114922001, 800: 0.004179910, 999: 0.000142304,
}  # fmt: skip
ABAR = cumulative_alphas(linear_betas(1000, 0.0015, 0.0195))
LEVELS = Levels.ddim([9, 6, 3, 0], 3, torch.linspace(0.95, 0.05, 10), 0.99)


@pytest.mark.parametrize(("t", "abar"), PUBLISHED.items())
def test_the_schedule_has_the_published_numbers(t, abar):
    assert ABAR[t].item() == pytest.approx(abar, abs=6e-10)


def test_beta_at_300_is_published():
    assert linear_betas(1000, 0.0015, 0.0195)[300].item() == pytest.approx(0.0047656804, abs=5e-11)


def test_levels_hold_abar_where_a_step_starts_and_where_it_leads_to():
    assert LEVELS.timesteps == (9, 6, 3, 0) and len(LEVELS) == 4
    assert LEVELS.abar == pytest.approx((0.05, 0.35, 0.65, 0.95))
    assert LEVELS.abar_prev == pytest.approx((0.35, 0.65, 0.95, 0.99))
    at = LEVELS.at(torch.tensor([9, 0, -3]))
    assert at.shape == (3, 1, 1, 1) and at.dtype == torch.float32
    torch.testing.assert_close(at.flatten(), torch.tensor([0.05, 0.95, 0.99]))


def test_the_numbers_are_those_of_the_schedule_to_the_last_bit():
    abar = ABAR.float()
    levels = Levels.ddim([999, 500], 499, abar, 1.0)
    assert levels.abar == (abar[999].item(), abar[500].item())
    assert torch.equal(levels.at(torch.tensor([999, 500])).flatten(), abar[[999, 500]])


def test_equal_levels_are_equal():
    assert Levels.ddim([9, 6, 3, 0], 3, torch.linspace(0.95, 0.05, 10), 0.99) == LEVELS
    assert Levels.ddim([9, 6, 3, 0], 3, torch.linspace(0.9, 0.05, 10), 0.99) != LEVELS


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_plms_visits_the_timesteps_of_diffusers_pndm(steps):
    scheduler = PNDMScheduler(skip_prk_steps=True, steps_offset=1)
    scheduler.set_timesteps(steps)
    timesteps, stride = sorted(set(scheduler.timesteps.tolist()), reverse=True), 1000 // steps
    levels = Levels.ddim(timesteps, stride, scheduler.alphas_cumprod, float(scheduler.final_alpha_cumprod)).plms()
    assert list(levels.timesteps) == scheduler.timesteps.tolist()
    assert all(t - following == stride for t, following in zip(levels.timesteps, levels.following, strict=True))


@pytest.mark.parametrize("place", range(5))
def test_the_levels_since_a_place_lead_to_the_same_result(place):
    rest = LEVELS.since(place)
    assert (rest.timesteps, rest.abar, rest.abar_prev) == (LEVELS.timesteps[place:], LEVELS.abar[place:], LEVELS.abar_prev[place:])
