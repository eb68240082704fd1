"""The losses on a sphere written out, prototypes that move in order, and a last layer whose gradient ends at the features."""

import math

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from training_files import CIDER, SIZES, train

from penumbra.models.resnet import Detector
from penumbra.train.losses.cider.loss import CiderLoss, compactness, dispersion, moved
from penumbra.train.losses.cider.params import Recipe
from penumbra.train.network.images import Batch

LABELS = torch.tensor([0, 2, 2, 0, 1, 2, 2])


def unit(count, seed=0, dtype=torch.float64):
    return F.normalize(torch.randn(count, 4, generator=torch.Generator().manual_seed(seed), dtype=dtype), dim=1)


def test_prototypes_move_by_one_embedding_after_the_other():
    start, embeddings = unit(3, 1), unit(7)
    expected = start.clone()
    for z, label in zip(embeddings, LABELS.tolist(), strict=True):
        mean = 0.9 * expected[label] + (1 - 0.9) * z
        expected[label] = mean / mean.norm()
    torch.testing.assert_close(moved(start, embeddings, LABELS, 0.9), expected)


def test_the_first_embedding_of_a_class_is_its_prototype():
    z = unit(1)
    torch.testing.assert_close(moved(torch.zeros(3, 4, dtype=torch.float64), z, torch.tensor([1]), 0.5)[1], z[0])


def test_compactness_and_dispersion_are_written_out():
    z, mu, tau = unit(7), unit(3, 1), 0.2
    terms = []
    for row, label in zip(z, LABELS.tolist(), strict=True):
        shares = [math.exp(torch.dot(row, other).item() / tau) for other in mu]
        terms.append(-math.log(shares[label] / sum(shares)))
    assert compactness(z, LABELS, mu, tau).item() == pytest.approx(sum(terms) / 7)
    terms = []
    for i in range(3):
        others = [math.exp(torch.dot(mu[i], mu[j]).item() / tau) for j in range(3) if j != i]
        terms.append(math.log(sum(others) / 2))
    assert dispersion(mu, tau).item() == pytest.approx(sum(terms) / 3)
    assert dispersion(mu[:1], tau) == 0


def test_gradients_are_those_of_finite_differences_through_the_moving_prototypes():
    start = unit(3, 1)

    def loss(z):
        return dispersion(moved(start, F.normalize(z, dim=1), LABELS, 0.5), 0.1)

    assert torch.autograd.gradcheck(loss, unit(7).requires_grad_())


def made(**more):
    torch.manual_seed(0)
    detector = Detector(**SIZES, classes=2)
    return detector, type("Timed", (CiderLoss,), {"steps": 2})(detector, Recipe(**CIDER | more))


def test_the_objective_is_the_sum_of_its_parts_and_the_probe_does_not_reach_the_features():
    detector, loss = made(beta=0.7)
    features = torch.rand(8, 64, requires_grad=True)
    labels = torch.arange(8) % 2
    found = loss(detector.last_layer(features), features, Batch(torch.zeros(8), labels, None))
    z = loss.sphere(features)
    torch.testing.assert_close(found["compactness"], compactness(z, labels, loss.prototypes.rows, 0.1))
    torch.testing.assert_close(found["cross_entropy"], F.cross_entropy(detector.last_layer(features), labels))
    total = found["compactness"] + 0.7 * found["dispersion"] + found["cross_entropy"]
    torch.testing.assert_close(found["loss"], total)
    (with_probe,) = torch.autograd.grad(found["loss"], features, retain_graph=True)
    (without,) = torch.autograd.grad(found["compactness"] + 0.7 * found["dispersion"], features, retain_graph=True)
    torch.testing.assert_close(with_probe, without)
    assert torch.autograd.grad(found["loss"], detector.last_layer.weight)[0].abs().sum() > 0


def test_the_projection_learns_and_embeddings_come_together():
    detector, loss = made(learning_rate=0.5, warmup_epochs=0, epochs=100)
    features = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    labels, seen = torch.arange(8) % 2, []
    for _ in range(40):
        found = loss(detector.last_layer(features), features, Batch(torch.zeros(8), labels, None))
        found["loss"].backward()
        seen.append(found["compactness"].item())
    assert seen[-1] < 0.3 * seen[0]


def test_a_detector_is_trained_without_outliers(make_stage):
    stage = make_stage(["all"], method="none", loss="cider")
    train(stage)
    history = pd.read_csv(stage.write() / "history.csv")
    columns = ["seed", "epoch", "loss", "compactness", "dispersion", "cross_entropy", "val_accuracy", "steps"]
    assert list(history.columns) == columns and history.notna().all(axis=None)
