"""The input step of Generalized ODIN: against the paper's formula image by image, and only where its head lies."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from penumbra.models.heads import DecomposedConfidence
from penumbra.models.resnet import ResNet
from penumbra.rerun import step
from penumbra.rerun.params import Rerun
from penumbra.rerun.scores import RERUN
from penumbra.rerun.scores.base import Subject
from penumbra.rerun.scores.godin import MAGNITUDES
from penumbra.scores.sweep import Swept
from penumbra.stage import Params

CLASSES = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A network in float64, test images, what its scores may be fitted on, and the head as read from its folder."""
    folder = tmp_path_factory.mktemp("seed-0")
    torch.manual_seed(0)
    network = ResNet("resnet18", 8, 3, 2, False, CLASSES).double().eval().requires_grad_(False)
    confidence = DecomposedConfidence(64, CLASSES, "cosine")
    confidence.domain[1].running_var.fill_(0.1)
    confidence.save_pretrained(folder / "godin")
    images = {name: torch.rand(count, 3, 32, 32, dtype=torch.float64) for name, count in {"val": 12, "calibration": 9, "test": 8}.items()}
    batches = {name: list(of_file.split(5)) for name, of_file in images.items()}
    subject = Subject(network, [], torch.zeros(0), batches["val"], batches["calibration"], folder)
    return network, images, subject, DecomposedConfidence.from_pretrained(folder / "godin").double()


def asked(word, made, **values):
    score = RERUN[word](RERUN[word].Parameters(score=word, **values), "mine")
    score.fit(made[2])
    return score


def confidence(made, by, image):
    """S of one image [3, H, W], differentiable."""
    network, _, _, head = made
    features = network.forward_with_features(image[None])[1]
    return head.g(features)[0] if by == "g" else head.h(features)[0].max()


def moved(made, by, image, noise):
    """S after the input step of the paper: x - noise sign(-grad S)."""
    x = image.clone().requires_grad_()
    (-confidence(made, by, x)).backward()
    return confidence(made, by, image - noise * torch.sign(x.grad)).item()


@pytest.mark.parametrize("by", ["h", "g"])
def test_godin(made, by):
    images = made[1]["test"]
    found = asked("godin", made, by=by, noise=0.01)(list(images.split(3)))
    np.testing.assert_allclose(found, [-moved(made, by, image, 0.01) for image in images], rtol=1e-8)
    assert (found.numpy() < [-confidence(made, by, image).item() for image in images]).all()  # the step makes every image more ID


@pytest.mark.parametrize("by", ["h", "g"])
def test_the_magnitude_is_that_of_the_most_confident_validation_images(made, by):
    means = [np.mean([moved(made, by, image, noise) for image in made[1]["val"]]) for noise in MAGNITUDES]
    score = asked("godin", made, by=by, noise="validation")
    assert score.noise == MAGNITUDES[int(np.argmax(means))]


def test_magnitudes_can_be_swept_as_of_any_score(made):
    parameters = RERUN["godin"].Parameters(score="godin", by="h", noise=0.01).model_copy(update={"noise": [0.01, "validation"]})
    score = Swept(parameters, "mine", RERUN["godin"])
    score.fit(made[2])
    assert [each.values for each in score.candidates] == [{"noise": 0.01}, {"noise": "validation"}]


@pytest.mark.parametrize("there", [True, False])
def test_a_detector_has_the_scores_of_what_lies_beside_it_and_no_others(stage, tmp_path, there):
    for seed in (10, 2) if there else ():
        torch.manual_seed(seed)
        DecomposedConfidence(64, 3, "inner").save_pretrained(tmp_path / f"detectors/none/seed-{seed}/godin")
    entries = {
        "h": {"score": "godin", "by": "h", "noise": "validation"},
        "odin": {"score": "odin", "temperature": 1.0, "noise": 0.0},
    }
    step.main(replace(stage, params=Params({"rerun": {"scores": Rerun(detectors=["none"], scores=entries).scores}})))
    table = pd.read_parquet(stage.write())
    expected = ["h", "odin"] if there else ["odin"]
    assert list(table.columns) == ["seed", "sample_id", *expected] and np.isfinite(table[expected]).all(axis=None)


@pytest.mark.parametrize("noise", ["test", 0.0])  # without the step it is score.more's deconf
def test_a_noise_that_is_none_is_refused(noise):
    with pytest.raises(ValueError, match="noise"):
        Rerun(detectors=["none"], scores={"h": {"score": "godin", "by": "h", "noise": noise}})
