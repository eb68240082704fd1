"""Scores of several layers, of what one pass keeps: against loops of the papers' formulas on maps that are made layer by layer, and
against pytorch-ood where the definition is equal."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import penumbra.models.vision  # noqa: F401
from penumbra.artifacts.outputs import Outputs
from penumbra.errors import PenumbraError
from penumbra.models.layers import passed
from penumbra.models.resnet import ResNet
from penumbra.score.params import Score as Parameters
from penumbra.scores import ASKED, names, scores_of
from penumbra.scores import gram as of_gram
from penumbra.scores.base import Bank
from penumbra.scores.sweep import Swept
from resnet_layers import layers

from pytorch_ood import detector as theirs  # isort: skip  # it imports torchvision, which penumbra.models.vision prepares

COUNTS = {"train": 40, "val": 12, "calibration": 10, "test": 9}
CLASSES, POWERS = 3, 3
GRAM = {"powers": POWERS, "by": "predicted"}


@pytest.fixture(scope="module")
def made():
    """A network in float64, its images by file, what its pass keeps of them, and what scores may be fitted on."""
    torch.manual_seed(0)
    network = ResNet("resnet18", 8, 3, 2, False, CLASSES).double().eval().requires_grad_(False)
    images = {file: torch.rand(count, 3, 32, 32, dtype=torch.float64) for file, count in COUNTS.items()}
    images["calibration"] = images["calibration"].round()
    network.fc.bias.copy_(-network(images["train"]).mean(0))  # so that every class is predicted
    outputs = {}
    for file, of_file in images.items():
        found = passed(network, of_file, "all", POWERS)
        outputs[file] = Outputs(found.logits, found.features, beside=found.statistics)
    labels = torch.arange(COUNTS["train"]) % CLASSES
    assert len(outputs["train"].logits.argmax(1).unique()) == CLASSES
    own = network.fc.weight, network.fc.bias
    bank = Bank(outputs["train"], labels, outputs["val"], labels[: COUNTS["val"]], outputs["calibration"], *own, None)
    return network, images, outputs, bank


def asked(word, bank, **values):
    score = ASKED[word](ASKED[word].Parameters(score=word, **values), "mine")
    score.fit(bank)
    return score


def maps(network, x):
    """The map of each layer."""
    found = []
    for module in layers(network)[0]:
        x = module(x)
        found.append(x)
    return found


def rows_of(map_of_layer, power):
    """Row sums of the Gram matrix of one map [C, h, w]."""
    raised = map_of_layer.flatten(1).numpy() ** power
    sums = (raised @ raised.T).sum(1)
    return np.sign(sums) * np.abs(sums) ** (1 / power)


@pytest.mark.parametrize("by", ["predicted", "label"])
def test_gram(made, by):
    network, images, outputs, bank = made
    stats = {
        file: [[[rows_of(each[i], 1 + p) for p in range(POWERS)] for each in maps(network, images[file])] for i in range(n)]
        for file, n in COUNTS.items()
    }
    classes = {file: network(images[file]).argmax(1).tolist() for file in COUNTS}
    fitted_on = classes["train"] if by == "predicted" else bank.labels.tolist()

    def deviation(file, image, layer):
        total = 0.0
        for power in range(POWERS):
            own = [stats["train"][i][layer][power] for i, of in enumerate(fitted_on) if of == classes[file][image]]
            low, high = np.min(own, axis=0), np.max(own, axis=0)
            for value, least, greatest in zip(stats[file][image][layer][power], low, high, strict=True):
                if value < least:
                    total += (least - value) / abs(least + 1e-6)
                if value > greatest:
                    total += (value - greatest) / abs(greatest + 1e-6)
        return total

    expected = [np.mean([deviation("val", i, layer) for i in range(COUNTS["val"])]) for layer in range(4)]
    wanted = [sum(deviation("test", i, layer) / expected[layer] for layer in range(4)) for i in range(COUNTS["test"])]
    score = asked("gram", bank, **GRAM | {"by": by})
    np.testing.assert_allclose(score(outputs["test"]), wanted, rtol=1e-9)
    assert min(expected) > 0 and max(wanted) > 0
    if by == "label":
        modules, head = layers(network)
        other = theirs.Gram(head, modules, CLASSES, [1, 2, 3])
        other.validation_fraction = 0.0
        other.fit([(images["train"], bank.labels)])
        other.layer_norm = score.expected
        np.testing.assert_allclose(score(outputs["test"]), other.predict(images["test"]), rtol=1e-5)


def test_fewer_powers_than_are_kept_need_no_other_pass(made):
    network, images, outputs, bank = made

    def of_one(file):
        found = passed(network, images[file], "all", 1)
        return Outputs(found.logits, found.features, beside=found.statistics)

    alone = replace(bank, train=of_one("train"), val=of_one("val"), calibration=None)
    one = GRAM | {"powers": 1}
    assert torch.equal(asked("gram", bank, **one)(outputs["test"]), asked("gram", alone, **one)(of_one("test")))


def test_a_class_that_no_image_is_called_has_the_bounds_of_all(made):
    _, _, outputs, bank = made
    score = asked("gram", replace(bank, labels=torch.zeros_like(bank.labels)), powers=2, by="label")
    assert all(torch.equal(low[0], low[2]) and low.isfinite().all() for low, _ in score.bounds.values())
    assert score(outputs["test"]).isfinite().all()


def test_mahalanobis_over_layers(made):
    network, images, outputs, bank = made
    labels, ridge = bank.labels.numpy(), 1e-3
    means = {file: [each.mean((2, 3)).numpy() for each in maps(network, images[file])] for file in ("train", "test")}
    expected = np.zeros(COUNTS["test"])
    for train, test in zip(means["train"], means["test"], strict=True):
        centres = np.stack([train[labels == label].mean(0) for label in range(CLASSES)])
        covariance = sum(np.outer(z - centres[c], z - centres[c]) for z, c in zip(train, labels, strict=True)) / len(train)
        precision = np.linalg.inv(covariance + ridge * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))
        expected += [min((z - c) @ precision @ (z - c) for c in centres) for z in test]
    np.testing.assert_allclose(asked("mahalanobis-layers", bank, ridge=ridge)(outputs["test"]), expected, rtol=1e-6)


def test_a_score_that_cannot_be_fitted_names_its_place(made):
    with pytest.raises(PenumbraError, match=r"^params\.yaml: score\.more\.mine\.ridge = 0"):
        asked("mahalanobis-layers", made[3], ridge=0)


@pytest.mark.parametrize(("word", "values"), [("gram", GRAM), ("mahalanobis-layers", {"ridge": 1e-3})])
def test_who_else_is_scored_changes_nothing(made, monkeypatch, word, values):
    _, _, outputs, bank = made
    score, test = asked(word, bank, **values), outputs["test"]
    whole = score(test)
    some = lambda i: Outputs(test.logits[i : i + 1], None, beside={name: x[i : i + 1] for name, x in test.beside.items()})  # noqa: E731
    alone = [some(i) for i in range(len(whole))]
    torch.testing.assert_close(torch.cat([score(each) for each in alone]), whole)
    monkeypatch.setattr(of_gram, "BLOCK", 4)
    torch.testing.assert_close(score(test), whole)


def test_a_detector_has_them_if_its_pass_has_kept_what_they_take(made):
    more = {"gram": {"score": "gram", "powers": [1, 3], "by": "predicted"}, "layers": {"score": "mahalanobis-layers", "ridge": 0.1}}
    section = Parameters(knn_k=1, knn_more=[], calibrator="platt", more=more)
    bank = made[3]
    assert not {"gram", "layers"} & set(scores_of(section, "network"))
    assert {"layers"} == set(scores_of(section, "network", {"means"})) - set(names("network"))
    assert not {"gram", "layers"} & set(scores_of(section, "clip", {"means", "gram"}))
    found = scores_of(section, "network", bank.train.kept)
    assert isinstance(found["gram"], Swept)
    found["gram"].fit(bank)
    assert [each.values for each in found["gram"].candidates] == [{"powers": 1}, {"powers": 3}]
    assert not {"gram", "layers"} & set(names("network", section.more)) and {"gram", "layers"} <= set(names(more=section.more))
