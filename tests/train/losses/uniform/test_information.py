"""CLUB bounds a known mutual information from above; the official surrogate of SONA measures something else."""

import math

import pytest
import torch

from penumbra.train.losses.uniform.information import Club, club_bound, log_likelihood, outer_product

X = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, -1.0]])
Y = torch.tensor([[0.5, 1.0], [1.0, -0.5], [1.5, -1.0]])


def gaussian_pairs(correlation: float, count: int, width: int = 3, seed: int = 0):
    """Pairs whose components correlate one to one, and their mutual information in nats."""
    x, noise = torch.randn(2, count, width, generator=torch.Generator().manual_seed(seed))
    return x, correlation * x + math.sqrt(1 - correlation**2) * noise, -width / 2 * math.log(1 - correlation**2)


def true_conditional(x, correlation):
    return correlation * x, torch.full_like(x, math.log(1 - correlation**2))


def fitted(x, y, steps=400):
    torch.manual_seed(0)
    club = Club(x.shape[1], y.shape[1], 64)
    optimizer = torch.optim.Adam(club.parameters(), 0.01)
    for step in range(steps):
        batch = torch.arange(256) + 256 * (step % (len(x) // 256))
        loss = -log_likelihood(*club(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return club


def test_the_worked_example():
    """mu = x, log variance 0."""
    assert club_bound(X, torch.zeros_like(X), Y).item() == pytest.approx(1.0)
    assert log_likelihood(X, torch.zeros_like(X), Y).item() == pytest.approx(-0.25)


def test_the_bound_is_the_double_loop_over_log_densities():
    torch.manual_seed(0)
    mean, y, log_variance = torch.randn(7, 4), 3 + torch.randn(7, 4), torch.rand(7, 4) * 2 - 1
    density = torch.distributions.Normal(mean[:, None], (log_variance / 2).exp()[:, None]).log_prob(y).sum(2)  # of y_j given x_i
    torch.testing.assert_close(club_bound(mean, log_variance, y), density.diagonal().mean() - density.mean())


def test_the_log_likelihood_is_twice_the_gaussians_without_its_constant():
    torch.manual_seed(0)
    mean, y, log_variance = torch.randn(7, 4), torch.randn(7, 4), torch.rand(7, 4) * 2 - 1
    gaussian = torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(y).sum(1).mean()
    torch.testing.assert_close(log_likelihood(mean, log_variance, y), 2 * gaussian + 4 * math.log(2 * math.pi))


@pytest.mark.parametrize("correlation", [0.3, 0.6, 0.9])
def test_with_the_true_conditional_it_is_the_closed_form_above_the_mutual_information(correlation):
    """E log q(y|x) - E_x E_y log q(y|x) of the Gaussian is r^2 / (1 - r^2) for each component."""
    x, y, information = gaussian_pairs(correlation, 200_000)
    bound = club_bound(*true_conditional(x, correlation), y).item()
    assert bound == pytest.approx(3 * correlation**2 / (1 - correlation**2), rel=0.02)
    assert bound > information


@pytest.mark.parametrize("correlation", [0.5, 0.75])
def test_a_fitted_network_bounds_the_mutual_information_of_other_pairs(correlation):
    x, y, _ = gaussian_pairs(correlation, 4096)
    club = fitted(x, y)
    x, y, information = gaussian_pairs(correlation, 4096, seed=1)
    with torch.no_grad():
        bound = club_bound(*club(x), y).item()
    assert information - 0.05 < bound < 3 * correlation**2 / (1 - correlation**2) + 0.15


def test_of_independent_pairs_it_falls_to_zero():
    x, y, _ = gaussian_pairs(0.0, 4096)
    club = fitted(x, y)
    x, y, _ = gaussian_pairs(0.0, 4096, seed=1)
    with torch.no_grad():
        assert abs(club_bound(*club(x), y).item()) < 0.03


def test_it_is_not_clamped_where_pairs_are_less_likely_than_strangers():
    assert club_bound(-X, torch.zeros_like(X), Y).item() < -0.5


def test_gradients_to_both_features_are_those_of_finite_differences():
    torch.manual_seed(0)
    club = Club(3, 2, 8).double().requires_grad_(False)
    x, y = torch.randn(5, 3, dtype=torch.float64, requires_grad=True), torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, y: club_bound(*club(x), y), (x, y))
    assert torch.autograd.gradcheck(outer_product, (x.detach().abs().requires_grad_(), y.detach().abs().requires_grad_()))


def test_the_networks_have_the_published_shape():
    club = Club(6, 4, 10)
    shapes = [tuple(layer.weight.shape) for layer in (club.mean[0], club.mean[2], club.log_variance[0], club.log_variance[2])]
    assert shapes == [(5, 6), (4, 5)] * 2
    assert club(100 * torch.randn(50, 6))[1].abs().max() <= 1


def test_the_official_surrogate_normalises_each_pair_before_it_averages():
    """A loop over pairs, as the official code has it."""
    x, y = torch.rand(7, 5, dtype=torch.float64), 3 * torch.rand(7, 4, dtype=torch.float64)
    pairs = [torch.outer(*pair) for pair in zip(x, y, strict=True)]
    joint = sum(pair / pair.sum() for pair in pairs) / len(pairs)
    expected = (joint * torch.log(joint / (torch.outer(x.mean(0), y.mean(0)) + 1e-8) + 1e-8)).sum()
    assert outer_product(x, y).item() == pytest.approx(expected.item(), abs=1e-14)
    assert outer_product(torch.zeros(3, 5), torch.rand(3, 4)).isfinite()


def test_the_official_surrogate_barely_sees_dependence_and_rewards_large_features():
    """Known values of features with 512 units of mean .05: -log(sum x sum y), whether pairs are independent or identical."""
    x, y = -0.05 * torch.rand(2, 256, 512, generator=torch.Generator().manual_seed(0)).clamp(min=1e-9).log()
    independent, identical = outer_product(x, y).item(), outer_product(x, x).item()
    assert -2 * math.log(512 * 0.05) == pytest.approx(-6.485, abs=0.001)
    assert independent == pytest.approx(-6.487, abs=0.01)
    assert identical == pytest.approx(-6.482, abs=0.01)
    assert outer_product(10 * x, 10 * y).item() == pytest.approx(independent - 2 * math.log(10), abs=0.001)  # no lower bound
