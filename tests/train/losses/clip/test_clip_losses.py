"""The losses of CLIP detectors against their equations."""

import math

import numpy as np
import pytest
import torch

from penumbra.train.losses.clip.loss import image_loss, label_loss


def loss_inputs():
    draws = torch.Generator().manual_seed(0)
    features, texts, negatives = (torch.randn(count, 5, generator=draws, dtype=torch.float64) for count in (6, 3, 4))
    return features, texts, negatives, torch.tensor([0, 2, 1, 3 + 1, 3 + 3, 3 + 1])


def exponentials(features, labels, temperature):
    """exp(cos/tau), entry by entry."""
    cosine = lambda a, b: sum(a * b) / math.sqrt(sum(a * a) * sum(b * b))  # noqa: E731
    return np.array([[math.exp(cosine(a, b) / temperature) for b in labels.numpy()] for a in features.numpy()])


@pytest.mark.parametrize(("classes", "start"), [("all", 0), ("matched", 3)])
def test_the_image_loss_is_equation_12_over_all_labels_or_the_matched_ones(classes, start):
    features, texts, negatives, targets = loss_inputs()
    e = exponentials(features, torch.cat([texts, negatives]), 0.3)
    expected = -np.mean([math.log(e[i, y] / sum(e[i, start:])) for i, y in enumerate(targets.tolist())])
    assert image_loss(features, targets, texts, negatives, 0.3, classes).item() == pytest.approx(expected)


def test_the_label_loss_runs_over_labels_or_as_equation_14_over_images():
    features, _, negatives, targets = loss_inputs()
    y = (targets % 3).tolist()
    e = exponentials(features, negatives, 0.3)
    by_image = -np.mean([math.log(e[i, y[i]] / sum(e[i])) for i in range(6)])
    by_text = -np.mean([math.log(e[i, y[i]] / sum(e[j, y[i]] for j in range(6))) for i in range(6)])
    assert label_loss(features, torch.tensor(y), negatives, 0.3, "image").item() == pytest.approx(by_image)
    assert label_loss(features, torch.tensor(y), negatives, 0.3, "text").item() == pytest.approx(by_text)


@pytest.mark.parametrize("kind", ["all", "matched", "image", "text"])
def test_their_gradients_are_those_of_finite_differences(kind):
    features, texts, negatives, targets = loss_inputs()

    def loss(x, labels):
        if kind in ("all", "matched"):
            return image_loss(x, targets, texts, labels, 0.3, kind)
        return label_loss(x, targets % 3, labels, 0.3, kind)

    assert torch.autograd.gradcheck(loss, (features.requires_grad_(), negatives.requires_grad_()))
