"""The discrepancy of two heads written out, when it begins and where it ends, and the second head beside the saved network."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import entropy as scipy_entropy
from training_files import MCD, SIZES, contents, train

from killed_training import killed
from penumbra.models.classifiers.detector import load_detector
from penumbra.models.heads import SecondHead
from penumbra.models.resnet import Detector
from penumbra.train.losses.mcd.loss import McdLoss, discrepancy, entropy
from penumbra.train.losses.mcd.params import Recipe
from penumbra.train.network import loop
from penumbra.train.network.images import Batch

CLASSES = 3


def logits(seed, count=5):
    return 2 * torch.randn(count, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_entropy_is_that_of_each_image():
    expected = scipy_entropy(logits(0).softmax(1).numpy(), axis=1)
    np.testing.assert_allclose(entropy(logits(0)), expected)
    assert entropy(torch.zeros(1, CLASSES)).item() == pytest.approx(math.log(CLASSES))
    np.testing.assert_allclose(discrepancy(logits(0), logits(1)), expected - scipy_entropy(logits(1).softmax(1).numpy(), axis=1))
    assert entropy(torch.tensor([[1000.0, 0.0, -1000.0]])).item() == 0


def test_its_gradient_is_that_of_finite_differences():
    assert torch.autograd.gradcheck(discrepancy, (logits(0).requires_grad_(), logits(1).requires_grad_()))


def make_loss(**more):
    torch.manual_seed(0)
    detector = Detector(**SIZES, classes=2)
    loss = type("Timed", (McdLoss,), {"steps": 2, "made": []})(detector, Recipe(**MCD | more))
    draws = torch.Generator().manual_seed(1)

    def step():
        features, labels = torch.randn(8, 64, generator=draws), torch.tensor([0, 1, 1, 0, -1, -1, -1, -1])
        out = detector.last_layer(features)
        return loss(out, features, Batch(torch.zeros(8), labels, None)), out, features

    return loss, step


def test_the_objective_is_two_cross_entropies_and_from_its_epoch_on_what_the_margin_lacks():
    loss, step = make_loss(start_epoch=1, beta=0.7, margin=1.2)
    labels = torch.tensor([0, 1, 1, 0])
    for number in range(4):
        found, out, features = step()
        second = loss.kept(features)
        cross_entropy = F.cross_entropy(out[:4], labels) + F.cross_entropy(second[:4], labels)
        difference = (entropy(out[4:]) - entropy(second[4:])).mean()
        torch.testing.assert_close(found["cross_entropy"], cross_entropy)
        torch.testing.assert_close(found["discrepancy"], difference)
        lacking = 1.2 - difference if number >= 2 else 0
        torch.testing.assert_close(found["loss"], cross_entropy + 0.7 * lacking)
    loss, step = make_loss(start_epoch=0, margin=0.0)
    loss.kept.linear.weight.data.mul_(50)  # a second head of low entropy: the margin is reached
    found, *_ = step()
    assert found["discrepancy"] > 0 and torch.equal(found["loss"], found["cross_entropy"])


def test_training_on_outliers_drives_the_heads_apart():
    loss, step = make_loss(start_epoch=0, beta=5.0, warmup_epochs=0, learning_rate=0.05, epochs=1000)
    optimizer = torch.optim.SGD(loss.detector.last_layer.parameters(), 0.05)
    found = []
    for _ in range(60):
        losses, *_ = step()
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        found.append(losses["discrepancy"].item())
    assert np.mean(found[-5:]) > np.mean(found[:5]) + 0.2


def test_the_second_head_lies_beside_the_network_and_two_runs_are_equal(make_stage):
    first, second = make_stage(["all"], loss="mcd"), make_stage(["all"], place="two", loss="mcd")
    for stage in (first, second):
        train(stage)
    assert contents(first.write()) == contents(second.write())
    history = pd.read_csv(first.write() / "history.csv")
    assert list(history.columns) == ["seed", "epoch", "loss", "cross_entropy", "discrepancy", "val_accuracy", "steps"]
    assert (history.loss == history.cross_entropy).tolist() == [True, False] * 2
    heads = {seed: SecondHead.from_pretrained(first.write() / f"seed-{seed}/mcd") for seed in (1, 3)}
    network = load_detector(first.write() / "seed-3")
    assert heads[3].linear.weight.shape == network.last_layer.weight.shape
    assert not torch.equal(heads[1].linear.weight, heads[3].linear.weight)
    assert not torch.equal(heads[3].linear.weight, network.last_layer.weight)
    assert not (first.scratch_root / first.name).exists()


def test_a_killed_training_goes_on_and_ends_as_an_uninterrupted_one(make_stage, monkeypatch):
    whole, resumed = make_stage(["all"], loss="mcd", epochs=4), make_stage(["all"], place="two", loss="mcd", epochs=4)
    train(whole)
    calls = killed(monkeypatch, loop, "train_epoch", 7, lambda: train(resumed))  # in the third epoch of the second seed
    assert not resumed.write().exists()
    assert [path.name for path in resumed.scratch.iterdir() if path.is_dir() and path.name != "pixels"] == ["seed-3"]
    train(resumed)
    assert [key[-1] for *_, key in calls] == [0, 1, 2, 3, 0, 1, 2, 2, 3]
    assert contents(resumed.write()) == contents(whole.write())
