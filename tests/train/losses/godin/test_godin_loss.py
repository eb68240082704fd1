"""The cross-entropy of the quotient, decay of its parts, and a network whose last layer names classes as the head beside it."""

import numpy as np
import pandas as pd
import pytest
import torch
from training_files import GODIN, SIZES, contents, train

from penumbra.artifacts.images import read_pixels
from penumbra.models.classifiers.detector import load_detector
from penumbra.models.heads import DecomposedConfidence
from penumbra.models.inference import Inference
from penumbra.models.resnet import Detector
from penumbra.train.losses.godin.loss import GodinLoss
from penumbra.train.losses.godin.params import Recipe
from penumbra.train.network.images import Batch

KINDS = ["inner", "euclidean", "cosine"]


def make_loss(**more):
    torch.manual_seed(0)
    detector = Detector(**SIZES, classes=2)
    loss = type("Timed", (GodinLoss,), {"steps": 2, "made": []})(detector, Recipe(**GODIN | more))
    features = torch.randn(8, 64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    labels = torch.arange(8) % 2
    return loss, detector, lambda: loss(detector.last_layer(features), features, Batch(torch.zeros(8), labels, None)), features, labels


@pytest.mark.parametrize("similarity", KINDS)
def test_the_objective_is_the_cross_entropy_of_h_over_g(similarity):
    loss, _, step, features, labels = make_loss(similarity=similarity)
    found = step()
    with torch.no_grad():
        quotient = (loss.kept.h(features) / loss.kept.g(features)[:, None]).double().numpy()
    shifted = quotient - quotient.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    assert found["loss"].item() == pytest.approx(-log_p[np.arange(8), labels.numpy()].mean(), rel=1e-5)
    assert found["cross_entropy"] is found["loss"]


def test_only_g_decays_and_the_last_layer_of_the_network_learns_nothing():
    loss, detector, step, features, _ = make_loss(warmup_epochs=0, momentum=0.0, weight_decay=0.5, learning_rate=0.1)
    found = step()
    parameters = {name: parameter for name, parameter in loss.kept.named_parameters()}
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    gradients = dict(zip(parameters, torch.autograd.grad(found["loss"], list(parameters.values()), retain_graph=True), strict=True))
    found["loss"].backward()
    for name, parameter in parameters.items():
        decay = 0.5 if name.startswith("domain") else 0.0
        torch.testing.assert_close(parameter.detach(), before[name] - 0.1 * (gradients[name] + decay * before[name]))
    assert detector.last_layer.weight.grad is None and features.grad.abs().sum() > 0
    assert gradients["likeness.weight"].abs().sum() > 0 and gradients["domain.0.weight"].abs().sum() > 0


def test_a_training_that_was_interrupted_goes_on_with_both_parts_and_their_statistics():
    loss, _, step, *_ = make_loss()
    step()["loss"].backward()
    other, *_ = make_loss()
    for name, part in other.stateful.items():
        part.load_state_dict(loss.stateful[name].state_dict())
    assert set(other.stateful) == {"clock", "domain", "likeness"} and other.clock.step == 1
    for name, tensor in loss.kept.state_dict().items():
        assert torch.equal(other.kept.state_dict()[name], tensor), name
    assert loss.kept.domain[1].num_batches_tracked == 1


@pytest.mark.parametrize("similarity", KINDS)
def test_a_saved_network_names_classes_as_the_head_beside_it_and_two_runs_are_equal(make_stage, similarity):
    first, second = (make_stage(["all"], place=place, method="none", loss="godin", similarity=similarity) for place in ("one", "two"))
    for stage in (first, second):
        train(stage)
    assert contents(first.write()) == contents(second.write())
    assert pd.read_csv(first.write() / "history.csv").loss.gt(0).all()
    for seed in (1, 3):
        folder = first.write() / f"seed-{seed}"
        network, head = load_detector(folder), DecomposedConfidence.from_pretrained(folder / "godin")
        weight, bias = head.likeness.linear()
        torch.testing.assert_close(network.last_layer.weight, weight)
        torch.testing.assert_close(network.last_layer.bias, bias)
        pixels = torch.from_numpy(read_pixels(first.read("images/val"))).permute(0, 3, 1, 2).float() / 255
        logits, features = network.forward_with_features(pixels)
        assert torch.equal(logits.argmax(1), head(features).argmax(1))
        logits, features = Inference(folder, torch.device("cpu")).outputs(first.read("images/val"))
        torch.testing.assert_close(logits, features @ weight.double().T + bias.double(), rtol=1e-4, atol=1e-4)
