"""Heads beside a network: the formulas of Hsu et al. element by element, the linear layer of equal order, and what is saved."""

import numpy as np
import pytest
import torch

from penumbra.errors import PenumbraError
from penumbra.models.heads import DecomposedConfidence, SecondHead

FEATURES, CLASSES = 5, 4


def head(similarity):
    torch.manual_seed(1)
    made = DecomposedConfidence(FEATURES, CLASSES, similarity).double()
    if similarity == "inner":
        made.likeness.bias.data.normal_()
    made.domain[1].running_mean.fill_(0.3)
    made.domain[1].running_var.fill_(2.0)
    return made.eval()


def features(count=7):
    return torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


FORMULAS = {
    "inner": lambda z, w, b: w @ z + b,
    "euclidean": lambda z, w, b: -((z - w) ** 2).sum(),
    "cosine": lambda z, w, b: w @ z / np.linalg.norm(w) / np.linalg.norm(z),
}


@pytest.mark.parametrize("similarity", FORMULAS)
def test_the_quotient_is_that_of_likeness_and_domain(similarity):
    made, z = head(similarity), features()
    with torch.no_grad():
        weight = made.likeness.weight.numpy()
        bias = made.likeness.bias.numpy() if similarity == "inner" else np.zeros(CLASSES)
        expected = np.array([[FORMULAS[similarity](row, w, b) for w, b in zip(weight, bias, strict=True)] for row in z.numpy()])
        linear = (z @ made.domain[0].weight.T + made.domain[0].bias)[:, 0].numpy()
        normalised = (linear - 0.3) / np.sqrt(2.0 + 1e-5)
        g = 1 / (1 + np.exp(-normalised))
        np.testing.assert_allclose(made.h(z), expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(made.g(z), g, rtol=1e-9)
        np.testing.assert_allclose(made(z), expected / g[:, None], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("similarity", FORMULAS)
def test_the_linear_layer_orders_classes_as_h_does(similarity):
    made, z = head(similarity), features()
    with torch.no_grad():
        weight, bias = made.likeness.linear()
        logits, h = z @ weight.T + bias, made.h(z)
        assert torch.equal(logits.argsort(1), h.argsort(1))
        lengths = z.norm(dim=1, keepdim=True)
        expected = {"inner": h, "euclidean": h + lengths**2, "cosine": h * lengths}[similarity]
        torch.testing.assert_close(logits, expected)
    assert not weight.requires_grad and not bias.requires_grad


@pytest.mark.parametrize("similarity", FORMULAS)
def test_its_gradients_are_those_of_finite_differences(similarity):
    made, z = head(similarity), features(3).requires_grad_()
    assert torch.autograd.gradcheck(made, z)


def test_a_saved_head_is_the_same_and_another_kind_is_refused(tmp_path):
    made = head("cosine").float()
    made.save_pretrained(tmp_path / "godin")
    again = DecomposedConfidence.from_pretrained(tmp_path / "godin")
    assert torch.equal(again(features().float()), made(features().float())) and not again.training
    with pytest.raises(PenumbraError, match=r"holds a DecomposedConfidence, not a SecondHead"):
        SecondHead.from_pretrained(tmp_path / "godin")
