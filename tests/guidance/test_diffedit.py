"""DiffEdit step by step: the region against a loop, the way up and down again, and images that do not depend on their batch."""

import numpy as np
import pytest
import torch

from penumbra.guidance.diffedit import EXTREME, THRESHOLD, diffedited, region, way
from penumbra.guidance.diffusion import predicted_clean
from penumbra.schedules import Levels, cumulative_alphas, linear_betas

SHAPE = (4, 6, 6)
LEVELS = Levels.ddim((801, 601, 401, 201, 1), 200, cumulative_alphas(linear_betas(1000, 0.00085, 0.012)), 0.9995)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def wave(z, t, condition):
    """A UNet without a matrix product: exact in any batch. A condition [B, 1, 1] sets its phase; it acts on the upper left alone."""
    place = torch.zeros(6, 6, dtype=z.dtype)
    place[:3, :2] = 1
    return torch.sin(3 * z) + place * condition[..., None] * (1 + z.abs()) + t.view(-1, 1, 1, 1).to(z) / 5000


def phases(count, *values):
    return torch.tensor(values, dtype=torch.float64).view(len(values), 1, 1, 1).expand(len(values), count, 1, 1)


def test_the_region_is_where_two_prompts_differ():
    _, given, wanted = phases(2, 0.0, 0.3, 1.5)
    found = region(wave, normal(2, *SHAPE), normal(5, 2, *SHAPE, seed=1), given, wanted, LEVELS)
    expected = torch.zeros(2, 1, 6, 6, dtype=torch.bool)
    expected[:, :, :3, :2] = True
    assert torch.equal(found, expected)


def test_the_region_is_that_of_a_loop():
    draws = normal(3, 2, *SHAPE, seed=1)
    clean = normal(2, *SHAPE)

    def eps(z, t, condition):
        assert (t == 201).all()  # a half of five levels, rounded down: two are left
        return torch.sin(condition[..., None] * z)

    _, given, wanted = phases(2, 0.0, 0.3, 1.5)
    found = region(eps, clean, draws, given, wanted, LEVELS)
    abar = LEVELS.schedule[201]
    for image in range(2):
        differences = np.zeros((6, 6))
        for noise in draws[:, image].numpy():
            z = abar**0.5 * clean[image].numpy() + (1 - abar) ** 0.5 * noise
            differences += np.abs(np.sin(1.5 * z) - np.sin(0.3 * z)).mean(0) / len(draws)
        cut = EXTREME * differences.mean()
        np.testing.assert_array_equal(found[image, 0].numpy(), np.minimum(differences, cut) / cut > THRESHOLD)


def test_a_way_up_is_ddim_backwards():
    """Where the predicted noise is the same on both sides of a step, a step down takes back a step up."""
    clean, noise = normal(1, *SHAPE), normal(1, *SHAPE, seed=3)
    found = way(lambda z, t, condition: noise.expand_as(z), clean, torch.tensor([3]), torch.zeros(1, 1, 1), LEVELS)
    assert len(found) == 4 and torch.equal(found[0], clean)
    start = predicted_clean(clean, noise, torch.tensor(LEVELS.final))
    for latent, t in zip(found[1:], (1, 201, 401), strict=True):
        abar = LEVELS.schedule[t]
        torch.testing.assert_close(latent, abar**0.5 * start + (1 - abar) ** 0.5 * noise, rtol=1e-6, atol=1e-6)


def test_outside_of_the_region_nothing_changes_and_inside_it_does():
    clean, stops = normal(3, *SHAPE), torch.tensor([2, 5, 0])
    made = diffedited(wave, clean, normal(4, 3, *SHAPE, seed=1), stops, phases(3, 0.0, 0.2, 1.0), 2.0, LEVELS)
    changed = (made != clean).any(1)
    inside = torch.zeros(6, 6, dtype=torch.bool)
    inside[:3, :2] = True
    assert changed[0].equal(inside) and changed[1].equal(inside) and not changed[2].any()


def test_without_guidance_and_with_steady_noise_the_image_comes_back():
    def steady(z, t, condition):
        """Depends on the condition, so that there is a region, and not on the latent."""
        return (0.5 + condition[..., None] * torch.arange(6.0, dtype=z.dtype).gt(3)).expand_as(z)

    clean = normal(2, *SHAPE)
    made = diffedited(steady, clean, normal(2, 2, *SHAPE, seed=1), torch.tensor([4, 4]), phases(2, 0.0, 0.0, 1.0), 0.0, LEVELS)
    torch.testing.assert_close(made, clean, rtol=1e-5, atol=1e-5)
    moved = diffedited(steady, clean, normal(2, 2, *SHAPE, seed=1), torch.tensor([4, 4]), phases(2, 0.0, 0.0, 1.0), 1.0, LEVELS)
    assert (moved - clean)[..., 4:].abs().min() > 0.01 and torch.equal(moved[..., :4], clean[..., :4])


def test_an_image_does_not_depend_on_its_batch_and_each_step_is_told():
    clean, stops, draws = normal(4, *SHAPE), torch.tensor([1, 4, 0, 3]), normal(2, 4, *SHAPE, seed=1)
    conditions, seen = phases(4, 0.0, 0.2, 1.0), []
    together = diffedited(wave, clean, draws, stops, conditions, 2.0, LEVELS, lambda step, rows, z, masks: seen.append((step, rows, masks)))
    for row in range(4):
        part = slice(row, row + 1)
        alone = diffedited(wave, clean[part], draws[:, part], stops[part], conditions[:, part], 2.0, LEVELS)
        assert torch.equal(alone[0], together[row])
    assert [(step, rows.tolist()) for step, rows, _ in seen] == [(0, [1, 3, 0]), (1, [1, 3]), (2, [1, 3]), (3, [1])]
    assert all(list(masks) == ["add"] and masks["add"].shape == (len(rows), *SHAPE) for _, rows, masks in seen)


@pytest.mark.parametrize("steps", [1, 2])
def test_few_levels_have_a_region_too(steps):
    few = LEVELS.since(len(LEVELS) - steps)
    made = diffedited(wave, normal(1, *SHAPE), normal(2, 1, *SHAPE), torch.tensor([steps]), phases(1, 0.0, 0.2, 1.0), 1.0, few)
    assert made.isfinite().all()
