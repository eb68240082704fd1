"""Mixtures written out image by image, their soft labels, and that they, and no outliers, enter the network while it trains."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from training_files import MIXOE, SIZES, contents, train

from penumbra.models.classifiers.detector import ClassifierDetector, load_detector
from penumbra.models.classifiers.library import LibraryClassifier
from penumbra.models.resnet import Detector
from penumbra.train.losses.mixoe.loss import MixOeLoss, cutmix, mixup, soft_cross_entropy
from penumbra.train.losses.mixoe.params import Recipe
from penumbra.train.network.images import Batch


def images(seed, count=3, height=6, width=10):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_soft_label_lies_between_one_hot_and_uniform(share):
    logits, labels = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, 9.0]]), torch.tensor([0, 1])
    expected = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        total = sum(math.exp(value) for value in row)
        target = [share * (k == label) + (1 - share) / 3 for k in range(3)]
        expected.append(-sum(t * math.log(math.exp(value) / total) for t, value in zip(target, row, strict=True)))
    assert soft_cross_entropy(logits, labels, share).item() == pytest.approx(np.mean(expected), rel=1e-6)
    assert soft_cross_entropy(logits, labels, share).item() == pytest.approx(
        F.cross_entropy(logits, share * F.one_hot(labels, 3) + (1 - share) / 3).item(), rel=1e-6
    )


def test_its_gradient_is_that_of_finite_differences():
    logits = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: soft_cross_entropy(x, torch.tensor([0, 2, 1, 1]), 0.3), logits)


def test_mixup_is_the_weighted_mean():
    inside, outside = images(0), images(1)
    mixed, share = mixup(inside, outside, 0.25)
    assert share == 0.25
    np.testing.assert_allclose(mixed.numpy(), 0.25 * inside.numpy() + 0.75 * outside.numpy())


def test_cutmix_puts_one_rectangle_of_the_outlier_on_the_id_image_and_counts_its_pixels():
    inside, outside, met = images(0), images(1), set()
    torch.manual_seed(0)
    for _ in range(60):
        before = inside.clone()
        mixed, share = cutmix(inside, outside, 0.64)
        assert torch.equal(inside, before)
        taken = (mixed == outside).all(1)
        assert (taken == taken[0]).all() and torch.equal(mixed[~taken[:, None].expand_as(mixed)], inside[~taken[:, None].expand_as(mixed)])
        rows, columns = taken[0].any(1).nonzero()[:, 0].tolist(), taken[0].any(0).nonzero()[:, 0].tolist()
        assert taken[0].sum() == len(rows) * len(columns) and rows == list(range(rows[0], rows[-1] + 1))
        assert len(rows) <= 2 and len(columns) <= 6  # int(6 sqrt 0.36) = 3, two halves of 1; int(10 sqrt 0.36) = 6 (or 5)
        assert share == pytest.approx(1 - taken[0].float().mean().item())
        met.add((rows[0], columns[0], len(columns)))
    assert len(met) > 10
    assert cutmix(inside, outside, 1.0)[1] == 1.0 and torch.equal(cutmix(inside, outside, 1.0)[0], inside)


def small():
    torch.manual_seed(0)
    return Detector(**SIZES, classes=2)


def library():
    torch.manual_seed(0)
    return ClassifierDetector.of(LibraryClassifier.create("torchvision/mobilenet_v3_small", 2, 32))


@pytest.mark.parametrize("make", [small, library])
@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixtures_take_the_place_of_outliers_while_the_network_trains(make, mix):
    plain, detector = make(), make()
    loss = MixOeLoss(detector, Recipe(**MIXOE | {"mix": mix, "alpha": 0.7}))
    x = images(3, 8, 32, 32).float()
    operation = {"mixup": mixup, "cutmix": cutmix}[mix]
    for network in (plain.train(), detector.train()):
        for module in network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # it would draw between both
    torch.manual_seed(4)
    logits, features = detector.forward_with_features(x)
    torch.manual_seed(4)
    drawn = torch.distributions.Beta(0.7, 0.7).sample().item()
    mixed, share = operation(x[:4], x[4:], drawn)
    expected, its_features = plain.forward_with_features(torch.cat([x[:4], mixed]))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(features, its_features, rtol=1e-4, atol=1e-4)
    assert loss.share == pytest.approx(share) and 0 < share < 1
    labels = torch.tensor([0, 1, 1, 0, -1, -1, -1, -1])
    found = loss(logits, features, Batch(x, labels, None))
    of_mixture = soft_cross_entropy(expected[4:], labels[:4], share)
    torch.testing.assert_close(found["loss"], F.cross_entropy(expected[:4], labels[:4]) + 2 * of_mixture, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(detector.eval()(x), plain.eval()(x), rtol=1e-3, atol=1e-3)  # asked, it sees images as they are


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_a_detector_is_trained_and_two_runs_are_equal(make_stage, mix):
    first, second = make_stage(["all"], loss="mixoe", mix=mix), make_stage(["all"], place="two", loss="mixoe", mix=mix)
    for stage in (first, second):
        train(stage)
    assert contents(first.write()) == contents(second.write())
    history = pd.read_csv(first.write() / "history.csv")
    assert list(history.columns) == ["seed", "epoch", "loss", "cross_entropy", "mixture", "val_accuracy", "steps"]
    np.testing.assert_allclose(history.loss, history.cross_entropy + 2 * history.mixture, rtol=1e-4)
    assert load_detector(first.write() / "seed-3").phi is None
