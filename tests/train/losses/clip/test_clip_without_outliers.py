"""CLIP's recipe without outliers: a layer that learns to classify ID images, and nothing else."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from clip_features import CLASSES, COUNTS, LOGIT_SCALE, RECIPE, FakeClip, label_features, made_features, write_clip_features
from penumbra.models.clip_detector import ClipDetector
from penumbra.stage import Params, Stage
from penumbra.train.losses.clip import plan, seeds
from penumbra.train.losses.clip.params import Recipe
from penumbra.train.params import Detector

KIT = ("images/train", "images/val", "outliers/none", "selections/none/all", "features/clip", "features/negatives", "models/clip")


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """One seed; batches of 8 of the 30 training images."""
    files, model = write_clip_features(tmp_path / "data"), FakeClip(made_features())
    monkeypatch.setattr(seeds.Clip, "load", lambda path, device: model)
    detectors = {"clip-none": Detector(method="none", recipe="own", bands=["all"])}
    train = {"seeds": [1], "recipes": {"own": Recipe(**RECIPE | {"tune": False})}, "detectors": detectors}
    reads = {name: files[name] for name in KIT}
    writes = {"detectors/clip-none": tmp_path / "clip-none"}
    yield Stage("train", "clip-none", Params({"common": {"seed": 0}, "train": train}), {}, reads, writes, tmp_path / "scratch")
    assert model.seen == 0


def test_the_layer_learns_all_id_images_and_no_label_moves(stage):
    plan.main(stage)
    detector, labels = ClipDetector.from_pretrained(stage.write() / "seed-1"), label_features()
    assert torch.equal(detector.negatives, labels.negative) and not detector.tuned.any() and detector.tuned_words == []
    history = pd.read_csv(stage.write() / "history.csv")
    assert history.phase.tolist() == ["start", "project", "project", "project"]
    assert history.steps.tolist() == [0] + [epoch * -(-COUNTS["train"] // 8) for epoch in (1, 2, 3)]
    assert history.loss[1:].is_monotonic_decreasing


def test_its_loss_is_the_cross_entropy_of_id_images_over_id_labels_alone(stage):
    """With a batch of all images and a layer that does not move, the loss is that of the first weights."""
    own = stage.params.train.recipes.own
    frozen = own.model_copy(
        update={"batch_size": 30, "project_epochs": 1, "project_learning_rate": 1e-12, "project_learning_rate_end": 0.0}
    )
    stage = replace(stage, params=stage.params.beside(train={"recipes": {"own": frozen}}))
    plan.main(stage)
    detector, images = ClipDetector.from_pretrained(stage.write() / "seed-1"), load_file(stage.read("features/clip"))["train"]
    cosines = detector.image_features(images) @ F.normalize(label_features().id, dim=1).T
    expected = F.cross_entropy(LOGIT_SCALE * cosines, torch.arange(30) % CLASSES).item()
    assert pd.read_csv(stage.write() / "history.csv").loss[1] == pytest.approx(expected, rel=1e-4)
