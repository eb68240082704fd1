"""Scores that run a network again: against loops of the papers' formulas, and against pytorch-ood where the definition is equal."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from torch.nn.functional import cross_entropy

import penumbra.models.vision  # noqa: F401
from penumbra.models.resnet import ResNet
from penumbra.rerun.scores import RERUN
from penumbra.rerun.scores.base import Subject
from penumbra.scores.sweep import Swept
from resnet_layers import layers

from pytorch_ood import detector as theirs  # isort: skip  # it imports torchvision, which penumbra.models.vision prepares

COUNTS = {"train": 40, "val": 12, "calibration": 10, "test": 9}
CLASSES = 3


@pytest.fixture(scope="module")
def made():
    """A network in float64, batches of its images by file, and what its scores may be fitted on."""
    torch.manual_seed(0)
    network = ResNet("resnet18", 8, 3, 2, False, CLASSES).double().eval().requires_grad_(False)
    images = {file: torch.rand(count, 3, 32, 32, dtype=torch.float64) for file, count in COUNTS.items()}
    images["calibration"] = images["calibration"].round()
    network.fc.bias.copy_(-network(images["train"]).mean(0))  # so that every class is predicted
    batches = {file: list(of_file.split(7)) for file, of_file in images.items()}
    labels = torch.arange(COUNTS["train"]) % CLASSES
    assert len(network(images["train"]).argmax(1).unique()) == CLASSES
    return network, images, Subject(network, batches["train"], labels, batches["val"], batches["calibration"]), batches["test"]


def asked(word, made, **values):
    score = RERUN[word](RERUN[word].Parameters(score=word, **values), "mine")
    score.fit(made[2])
    return score


@pytest.mark.parametrize("noise", [0.0, 0.0014, 0.02])
def test_odin(made, noise):
    network, images, _, batches = made
    expected = []
    for image in images["test"]:
        x = image[None].clone().requires_grad_()
        scaled = network(x)[0] / 1000
        (-scaled.log_softmax(0)[scaled.argmax()]).backward()
        moved = x.detach() - noise * torch.sign(x.grad)  # x - e sign(-grad log S) with the sign of eq. 2
        expected.append(-np.log(softmax(network(moved)[0].numpy() / 1000).max()))
    found = asked("odin", made, temperature=1000, noise=noise)(batches)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    other = theirs.ODIN(network, criterion=lambda logits, y: cross_entropy(logits, y, reduction="sum"), eps=noise, temperature=1000)
    np.testing.assert_allclose(np.exp(-found), -other.predict(images["test"]).detach(), atol=1e-6)
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("taken", ["last", "last-two"])
def test_rankfeat(made, taken):
    network, images, _, batches = made
    modules, head = layers(network)
    expected = []
    for image in images["test"]:
        logits = []
        for removed in (3,) if taken == "last" else (2, 3):
            x = image[None]
            for index, module in enumerate(modules):
                x = module(x)
                if index == removed:
                    u, s, v = np.linalg.svd(x[0].flatten(1).numpy(), full_matrices=False)
                    x = x - torch.from_numpy(s[0] * np.outer(u[:, 0], v[0])).view(x.shape)
            logits.append(head(x)[0].numpy())
        expected.append(-logsumexp(np.mean(logits, axis=0)))
    found = asked("rankfeat", made, blocks=taken)(batches)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    if taken == "last":
        other = theirs.RankFeat(torch.nn.Sequential(*modules), head)
        np.testing.assert_allclose(found, other.predict(images["test"]), atol=1e-6)


def test_noise_is_chosen_by_sweep_on_validation_images(made):
    network, images, subject, batches = made
    grid = [0.0, 0.01, 0.1]
    values = RERUN["odin"].Parameters(score="odin", temperature=1000, noise=0.0).model_copy(update={"noise": grid})
    score = Swept(values, "mine", RERUN["odin"])
    score.fit(subject)
    alone = [asked("odin", made, temperature=1000, noise=noise) for noise in grid]
    areas = []
    for each in alone:
        inside, outside = each(subject.val).numpy(), each(subject.calibration).numpy()
        areas.append(np.mean(outside[:, None] > inside) + np.mean(outside[:, None] == inside) / 2)
    np.testing.assert_allclose([each.auroc for each in score.candidates], areas)
    assert torch.equal(score(batches), alone[int(np.argmax(areas))](batches))


@pytest.mark.parametrize(("word", "values"), [("odin", {"temperature": 10, "noise": 0.01}), ("rankfeat", {"blocks": "last-two"})])
def test_batches_change_nothing(made, word, values):
    score, images = asked(word, made, **values), made[1]["test"]
    torch.testing.assert_close(score(images.split(2)), score([images]))


def test_these_alone_run_the_network_again():
    assert set(RERUN) == {"odin", "godin", "rankfeat"}
