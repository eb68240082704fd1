"""Virtual outliers against scipy's Gaussians, the weighted energy written out, and when they begin."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import multivariate_normal
from training_files import SIZES, VOS, train

from penumbra.logits import energy
from penumbra.models.resnet import Detector
from penumbra.train.losses.vos.loss import RIDGE, ClassWeights, VosLoss, gaussians, virtual_outliers
from penumbra.train.losses.vos.params import Recipe
from penumbra.train.network.images import Batch
from penumbra.train.network.queues import Queues

CLASSES, LENGTH, WIDTH = 3, 40, 4


def queues(seed=0):
    draws = torch.Generator().manual_seed(seed)
    mixing = torch.randn(WIDTH, WIDTH, generator=draws)
    return torch.randn(CLASSES, LENGTH, WIDTH, generator=draws) @ mixing + 5 * torch.randn(CLASSES, 1, WIDTH, generator=draws)


def test_the_covariance_is_that_of_all_classes_about_their_own_means():
    features = queues()
    means, factor = gaussians(features)
    expected = np.zeros((WIDTH, WIDTH))
    for rows, mean in zip(features.double().numpy(), means.numpy(), strict=True):
        np.testing.assert_allclose(mean, rows.mean(0))
        for row in rows:
            expected += np.outer(row - rows.mean(0), row - rows.mean(0)) / (CLASSES * LENGTH)
    np.testing.assert_allclose((factor @ factor.T).numpy(), expected + RIDGE * np.eye(WIDTH))


def test_the_least_likely_draws_of_each_class_are_taken():
    features = queues()
    means, factor = gaussians(features)
    torch.manual_seed(0)
    found = virtual_outliers(features, 500, 3).double().numpy().reshape(CLASSES, 3, WIDTH)
    torch.manual_seed(0)
    for mean, taken in zip(means, found, strict=True):
        draws = (mean + torch.randn(500, WIDTH).double() @ factor.T).numpy()
        likelihood = multivariate_normal(mean.numpy(), (factor @ factor.T).numpy()).logpdf(draws)
        expected = draws[np.argsort(likelihood)[:3]]
        np.testing.assert_allclose(taken, expected, rtol=1e-5)


def test_features_that_are_constant_still_have_a_gaussian():
    features = queues()
    features[..., 0] = 0
    assert virtual_outliers(features, 10, 1).isfinite().all()


def test_the_weighted_energy_is_written_out_and_is_the_energy_where_all_weights_are_one():
    head = ClassWeights(3)
    head.weights.data = torch.tensor([0.5, -1.0, 2.0])
    logits = torch.tensor([[1.0, 2.0, 3.0], [-4.0, 0.5, 80.0]])
    expected = [-math.log(0.5 * math.exp(a) + 2 * math.exp(c)) for a, _, c in logits.tolist()]
    assert head(logits).tolist() == pytest.approx(expected, rel=1e-6)
    head.weights.data = torch.ones(3)
    torch.testing.assert_close(head(logits), energy(logits))
    head.weights.data = torch.full((3,), -1.0)
    assert head(logits).isfinite().all()


def test_its_gradient_is_that_of_finite_differences():
    head = ClassWeights(3).double()
    head.weights.data = torch.tensor([0.5, 0.3, 2.0], dtype=torch.float64)
    logits = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(head, logits)


def test_a_queue_keeps_the_latest_of_each_class():
    kept, seen = Queues(2, 3, 1), {0: [], 1: []}
    draws = torch.Generator().manual_seed(0)
    for step in range(6):
        labels = torch.randint(2, (5,), generator=draws)
        features = torch.arange(5.0)[:, None] + 10 * step
        kept.add(features, labels)
        for value, label in zip(features[:, 0].tolist(), labels.tolist(), strict=True):
            seen[label].append(value)
        assert kept.full == (min(map(len, seen.values())) >= 3)
        for label, values in seen.items():
            assert sorted(value for value in kept.rows[label, :, 0].tolist()[: len(values)]) == sorted(values[-3:])


def make_loss(steps=2, **more):
    torch.manual_seed(0)
    detector = Detector(**SIZES, classes=2, phi_hidden=4)
    loss = type("Timed", (VosLoss,), {"steps": steps})(detector, Recipe(**VOS | more))
    draws = torch.Generator().manual_seed(1)

    def step():
        features, labels = torch.randn(8, 64, generator=draws), torch.arange(8) % 2
        features.requires_grad_()
        logits = detector.last_layer(features)
        return loss(logits, features, Batch(torch.zeros(8), labels, None)), logits, labels, features

    return loss, step, detector


def test_outliers_begin_with_their_epoch_and_not_before_the_queues_are_full():
    _, step, _ = make_loss(start_epoch=1)
    assert ["uncertainty" in step()[0] for _ in range(4)] == [False, False, True, True]
    _, step, _ = make_loss(start_epoch=0, queue=9)
    assert ["uncertainty" in step()[0] for _ in range(4)] == [False, False, True, True]


def test_the_objective_is_the_cross_entropy_and_beta_times_the_uncertainty_of_both():
    loss, step, detector = make_loss(start_epoch=0, beta=0.7, reduction="sum_of_means")
    torch.manual_seed(5)
    found, logits, labels, _ = step()
    torch.manual_seed(5)
    outliers = virtual_outliers(loss.queues.rows, loss.p.samples, loss.p.select)
    odds = [detector.phi(loss.energy(each)) for each in (logits, detector.last_layer(outliers))]
    uncertainty = -torch.log(1 - torch.sigmoid(odds[0])).mean() - torch.log(torch.sigmoid(odds[1])).mean()
    torch.testing.assert_close(found["uncertainty"], uncertainty, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["loss"], F.cross_entropy(logits, labels) + 0.7 * uncertainty, rtol=1e-4, atol=1e-5)


def test_the_weights_of_the_energy_take_a_step_of_their_own_at_the_rate_of_the_network():
    loss, step, _ = make_loss(start_epoch=0, warmup_epochs=0, momentum=0.0, weight_decay=0.0, learning_rate=0.5)
    found, *_ = step()
    before = loss.energy.weights.detach().clone()
    (gradient,) = torch.autograd.grad(found["loss"], loss.energy.weights, retain_graph=True)
    found["loss"].backward()
    torch.testing.assert_close(loss.energy.weights.detach(), before - 0.5 * gradient)
    assert loss.energy.weights.grad is None and gradient.abs().sum() > 0


def test_a_training_that_was_interrupted_goes_on_with_queues_weights_and_their_momentum():
    loss, step, _ = make_loss(start_epoch=0)
    step()[0]["loss"].backward()
    state = {name: part.state_dict() for name, part in loss.stateful.items()}
    other, *_ = make_loss(start_epoch=0)
    for name, part in other.stateful.items():
        part.load_state_dict(state[name])
    assert torch.equal(other.queues.rows, loss.queues.rows) and torch.equal(other.energy.weights, loss.energy.weights)
    assert other.clock.step == 1 and set(other.stateful) == {"clock", "weights", "queues"}
    momenta = [each.stateful["weights"].state_dict()["optimizers"]["weights"]["state"] for each in (loss, other)]
    assert momenta[0][0]["momentum_buffer"].abs().sum() > 0
    torch.testing.assert_close(*momenta)


def test_a_detector_is_trained_and_saved_without_what_was_beside_it(make_stage):
    stage = make_stage(["all"], method="none", loss="vos")
    train(stage)
    history = pd.read_csv(stage.write() / "history.csv")
    assert history.groupby("seed").uncertainty.apply(lambda column: column.notna().tolist()).tolist() == [[False, True]] * 2
    assert Detector.from_pretrained(stage.write() / "seed-3").phi is not None
