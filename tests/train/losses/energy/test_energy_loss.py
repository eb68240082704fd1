"""The objective against an independent derivation, finite differences, and where it saturates."""

import math

import pytest
import torch
import torch.nn.functional as F

from penumbra.logits import energy
from penumbra.models.resnet import Phi
from penumbra.train.losses.energy.loss import energy_losses, uncertainty_loss


def batch(seed=0):
    draws = torch.Generator().manual_seed(seed)
    logits = torch.randn(7, 4, generator=draws, dtype=torch.float64, requires_grad=True)
    return logits, torch.tensor([2, -1, 0, -1, 3, 1, -1])


def phi_with(seed=0):
    torch.manual_seed(seed)
    return Phi(5).double()


def test_the_objective_is_equations_3_to_5_written_out():
    logits, labels = batch()
    phi = phi_with()
    cross_entropies, ood, id_ = [], [], []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        total = sum(math.exp(value) for value in row)
        value = phi(torch.tensor([-math.log(total)], dtype=torch.float64)).item()
        sigmoid = 1 / (1 + math.exp(-value))
        if label < 0:
            ood.append(-math.log(sigmoid))
        else:
            id_.append(-math.log(1 - sigmoid))
            cross_entropies.append(-math.log(math.exp(row[label]) / total))
    uncertainty = sum(ood) / len(ood) + sum(id_) / len(id_)
    losses = energy_losses(logits, labels, phi, 2.0)
    assert losses["cross_entropy"].item() == pytest.approx(sum(cross_entropies) / len(cross_entropies))
    assert losses["uncertainty"].item() == pytest.approx(uncertainty)
    assert losses["loss"].item() == pytest.approx(losses["cross_entropy"].item() + 2 * uncertainty)


def test_its_gradient_is_that_of_finite_differences():
    logits, labels = batch()
    phi = phi_with()
    assert torch.autograd.gradcheck(lambda x: energy_losses(x, labels, phi, 2.0)["loss"], logits)


def test_the_mean_of_all_is_half_of_the_sum_of_means_for_equally_many_and_weighs_images_alike_otherwise():
    log_odds, is_ood = torch.randn(6, generator=torch.Generator().manual_seed(0)), torch.tensor([True, False] * 3)
    torch.testing.assert_close(uncertainty_loss(log_odds, is_ood, "mean_of_all"), uncertainty_loss(log_odds, is_ood) / 2)
    is_ood[1:] = False
    expected = (
        sum(math.log1p(math.exp(-value if ood else value)) for value, ood in zip(log_odds.tolist(), is_ood.tolist(), strict=True)) / 6
    )
    assert uncertainty_loss(log_odds, is_ood, "mean_of_all").item() == pytest.approx(expected, rel=1e-5)
    assert uncertainty_loss(log_odds, is_ood).item() != pytest.approx(2 * expected, rel=0.01)


def test_the_energy_gradient_is_minus_the_softmax():
    logits, _ = batch()
    energy(logits).sum().backward()
    torch.testing.assert_close(logits.grad, -torch.softmax(logits.detach(), 1))


def test_saturated_log_odds_have_a_finite_loss_and_gradient():
    log_odds = torch.tensor([-500.0, 500.0, 500.0, -500.0], requires_grad=True)
    loss = uncertainty_loss(log_odds, torch.tensor([True, True, False, False]))
    loss.backward()
    assert loss.item() == 500
    torch.testing.assert_close(log_odds.grad, torch.tensor([-0.5, 0.0, 0.5, 0.0]))


def test_without_outliers_it_is_the_cross_entropy():
    logits, labels = batch()
    losses = energy_losses(logits[labels >= 0], labels[labels >= 0], phi_with(), 2.0)
    assert "uncertainty" not in losses
    torch.testing.assert_close(losses["loss"], F.cross_entropy(logits[labels >= 0], labels[labels >= 0]))
