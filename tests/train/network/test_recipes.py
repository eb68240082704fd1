"""The recipes of GOOD and SONA on real files: where training starts, what it reads, and that it survives a kill."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from training_files import CANDIDATES, TRAIN, UNIFORM, contents, train, write_images

from killed_training import killed
from penumbra.artifacts.images import read_pixels, read_table
from penumbra.errors import PenumbraError
from penumbra.models.classifiers.detector import load_detector
from penumbra.models.classifiers.library import LibraryClassifier
from penumbra.models.inference import Inference
from penumbra.models.resnet import Detector, ResNet
from penumbra.stage import Params
from penumbra.train.losses.energy.loss import EnergyLoss
from penumbra.train.losses.uniform import loss as uniform
from penumbra.train.losses.uniform.loss import UniformLoss
from penumbra.train.network import loop, seeds
from penumbra.train.network.images import Images

SONA = ("reconstruction",)


def stop_at_training(monkeypatch):
    seen = []

    def stop(*arguments):
        seen.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(seeds, "train_detector", stop)
    return seen


def test_it_starts_from_the_classifier_with_a_head_for_each_seed(make_stage, monkeypatch):
    stage = make_stage(["all"], kit=("classifier",))
    seen = stop_at_training(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(stage)
    setting = seen[0][0]
    classifier = ResNet.from_pretrained(stage.read("models/classifier")).state_dict()
    first, second = (loop.build(setting, seed).state_dict() for seed in (1, 3))
    assert all(torch.equal(first[name], tensor) and torch.equal(second[name], tensor) for name, tensor in classifier.items())
    assert not torch.equal(first["phi.fc1.weight"], second["phi.fc1.weight"])


def test_a_fine_tuned_detector_is_written_and_stays_near_the_classifier(make_stage):
    stage = make_stage(["all"], kit=("classifier",), learning_rate=1e-6, nesterov=True, phi_monotone=False)
    train(stage)
    classifier = ResNet.from_pretrained(stage.read("models/classifier"))
    tuned = Detector.from_pretrained(stage.write() / "seed-1")
    assert 0 < (tuned.fc.weight - classifier.fc.weight).abs().max() < 1e-3
    assert tuned.phi.monotone is False


def test_a_classifier_of_other_sizes_is_refused(make_stage):
    message = r"models/classifier: its width is 8, and that of train.recipes.own is 16.*let the recipe stand under train.recipes.scratch"
    with pytest.raises(PenumbraError, match=message):
        train(make_stage(["all"], kit=("classifier",), width=16))


OTHER = {"architecture": "torchvision/mobilenet_v3_small", "width": None, "stem_kernel": None, "stem_stride": None, "stem_pool": None}


@pytest.mark.parametrize("loss", ["energy", "uniform"])
def test_a_detector_starts_from_whatever_classifier_there_is(make_stage, loss):
    torch.manual_seed(0)
    start = LibraryClassifier.create("torchvision/mobilenet_v3_small", 2, 32)
    more = {"reconstructed": False} if loss == "uniform" else {}
    stage = make_stage(["all"], kit=("classifier",), loss=loss, start=start, learning_rate=1e-6, **OTHER, **more)
    train(stage)
    tuned = load_detector(stage.write() / "seed-1")
    assert (tuned.phi is None) == (loss == "uniform")
    assert 0 < (tuned.last_layer.weight - start.last_layer.weight).abs().max() < 1e-3
    logits, features = Inference(stage.write() / "seed-1", torch.device("cpu")).outputs(stage.read("images/val"))
    assert logits.shape == (6, 2) and features.shape == (6, start.last_layer.in_features)


def test_any_classifier_learns_from_scratch_each_seed_from_weights_of_its_own(make_stage):
    stage = make_stage(["all"], **OTHER | {"architecture": "torchvision/shufflenet_v2_x0_5"}, learning_rate=1e-6)
    train(stage)
    first, second = (load_detector(stage.write() / f"seed-{seed}") for seed in (1, 3))
    assert first.classifier.input_size is None and first.phi is not None
    assert (first.last_layer.weight - second.last_layer.weight).abs().max() > 1e-3


def test_a_classifier_of_another_architecture_is_refused(make_stage):
    message = "models/classifier: its architecture is resnet18, and that of train.recipes.own is torchvision/mobilenet_v3_small"
    with pytest.raises(PenumbraError, match=message):
        train(make_stage(["all"], kit=("classifier",), **OTHER))


def test_a_recipe_whose_kit_lacks_what_it_needs_says_what(make_stage):
    with pytest.raises(PenumbraError, match=r"train@badood-mid reads 0 files named 'controls/reconstruction'"):
        train(make_stage(["all"], loss="uniform"))


def test_sona_writes_a_history_of_its_own_losses_and_no_head(make_stage):
    stage = make_stage(["all"], kit=SONA, loss="uniform")
    train(stage)
    history = pd.read_csv(stage.write() / "history.csv")
    assert list(history.columns) == ["seed", "epoch", "loss", "cross_entropy", "uniformity", "information", "val_accuracy", "steps"]
    expected = history.cross_entropy + 0.5 * history.uniformity + history.information
    assert (history.loss - expected).abs().max() < 1e-4
    assert Detector.from_pretrained(stage.write() / "seed-3").phi is None


def test_reconstructions_of_training_images_are_id_images_with_the_label_of_their_source(make_stage, monkeypatch):
    seen = stop_at_training(monkeypatch)
    stage = make_stage(["all"], kit=SONA, loss="uniform")
    with pytest.raises(KeyboardInterrupt):
        train(stage)
    (setting, _, outliers, _) = seen[0]
    reconstructions = read_table(stage.read("controls/reconstruction")).to_pylist()[:20]
    sources = [int(row["source_id"].split("/")[1]) for row in reconstructions]
    assert sources == [(7 * i + 1) % 20 for i in range(20)]
    assert setting.train.sources.tolist() == list(range(20)) + sources
    assert setting.train.labels.tolist() == [i % 2 for i in range(20)] + [source % 2 for source in sources]
    kept = torch.from_numpy(read_pixels(stage.read("controls/reconstruction")))
    assert torch.equal(setting.train.batch(torch.arange(20, 40))[0], kept[:20])
    assert outliers.sources.tolist() == list(range(10)) + [-1, -1]


def test_they_double_the_steps_of_an_epoch(make_stage, monkeypatch):
    counts, forward = [], Detector.forward_with_features

    def count(self, images):
        counts.append(len(images)) if self.training else None
        return forward(self, images)

    monkeypatch.setattr(Detector, "forward_with_features", count)
    train(make_stage(["all"], "with", kit=SONA, loss="uniform"))
    train(make_stage(["all"], "without", loss="uniform", reconstructed=False))
    assert counts == [16] * (2 * 2 * (40 // 8)) + [16] * (2 * 2 * (20 // 8))


def test_the_sources_of_selected_outliers_go_with_them(make_stage, monkeypatch):
    seen = stop_at_training(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(make_stage(["mid"], kit=SONA, loss="uniform"))
    assert seen[0][2].sources.tolist() == [1, 2, 4, 5, 7, 8, -1, -1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"splits": ("test",)},
            r"holds no reconstructed training image. Put train into synthesize.control.reconstruction.splits",
        ),
        ({"sources": 0}, r"badood.parquet: no outlier names its ID image in source_id. Set paired of recipe own to false"),
    ],
)
def test_files_without_what_pairs_need_are_refused(make_stage, arguments, message):
    with pytest.raises(PenumbraError, match=message):
        train(make_stage(["all"], kit=SONA, loss="uniform", **arguments))


def test_a_source_that_is_no_training_image_is_named(make_stage):
    stage = make_stage(["all"], kit=SONA, loss="uniform")
    stage.reads["images/train"] = stage.reads["images/val"]
    with pytest.raises(PenumbraError, match=r"source_id train/\d+ is no image of images/train"):
        train(stage)


def test_outliers_that_name_no_image_are_taken_unpaired(make_stage):
    stage = make_stage(["all"], kit=SONA, loss="uniform", sources=0, paired=False, information="outer_product")
    train(stage)
    assert set(contents(stage.write())) >= {"seed-1/model.safetensors", "history.csv"}


def test_whole_in_parts_and_resumed_sona_gives_the_same_bytes(make_stage, monkeypatch):
    """The state of CLUB's network and of its optimiser is resumed too."""
    whole = make_stage(["all"], "whole", kit=SONA, loss="uniform")
    train(whole)
    parts = make_stage(["all"], "parts", kit=SONA, loss="uniform")
    for index in (1, 0):
        train(replace(parts, part=(index, 2)))
    train(parts)

    resumed = make_stage(["all"], "killed", kit=SONA, loss="uniform")
    killed(monkeypatch, loop, "accuracy", 2, lambda: train(resumed))  # in the last epoch
    train(resumed)
    assert contents(whole.write()) == contents(parts.write()) == contents(resumed.write())


def test_reconstructions_that_the_recipe_leaves_out_do_not_reach_training(make_stage, monkeypatch):
    """A preset without them needs no other dvc.yaml."""
    seen = stop_at_training(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(make_stage(["all"], kit=SONA, loss="uniform", reconstructed=False))
    assert len(seen[0][0].train) == TRAIN


@pytest.mark.parametrize("loss", ["energy", "uniform"])
def test_edited_test_images_are_refused(make_stage, loss):
    stage = make_stage(["all"], kit=() if loss == "energy" else SONA, loss=loss)
    write_images(stage.read("outliers/badood"), CANDIDATES, label=0, splits=("train", "test"))
    with pytest.raises(PenumbraError, match=r"badood.parquet: holds edited test images, .* Take test out of splits in synthesize"):
        train(stage)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("information", r"train.recipes.own: in epoch 1 the loss information is inf. Lower learning_rate or information_weight"),
        ("uniformity", r"in epoch 1 the loss uniformity is inf. Lower learning_rate or beta"),
        ("cross_entropy", r"in epoch 1 the loss cross_entropy is inf. Lower learning_rate\."),
    ],
)
def test_a_loss_that_is_not_finite_names_the_recipe_and_what_to_lower(make_stage, monkeypatch, broken, message):
    real = uniform.uniform_losses

    def overflowing(*arguments):
        losses = real(*arguments)
        return losses | {"loss": losses["loss"] + torch.inf, broken: losses[broken] + torch.inf}

    monkeypatch.setattr(uniform, "uniform_losses", overflowing)
    with pytest.raises(PenumbraError, match=message):
        train(make_stage(["all"], kit=SONA, loss="uniform"))


def test_detectors_of_one_seed_start_alike_whatever_their_information_term():
    images = Images(torch.zeros(2, 16, 16, 3, dtype=torch.uint8), torch.tensor([0, 1]))
    states = []
    for kind in ("club", "none"):
        p = Params(UNIFORM | {"information": kind})
        setting = loop.Setting("sona-all", "sona", p, UniformLoss, 0, images, images, 2, None)
        detector = loop.build(setting, 7)
        UniformLoss(detector, p)
        states.append(detector.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_nesterov_steps_further_along_the_gradient(make_stage):
    """The first step of both is along the gradient; Nesterov's is 1 + momentum times as long."""
    moved = []
    for nesterov in (False, True):
        place = f"nesterov-{nesterov}"
        stage = make_stage(["all"], place, method="none", nesterov=nesterov, epochs=1, warmup_epochs=0, batch_size=20, weight_decay=0.0)
        train(stage)
        start = loop.build(loop.Setting("badood-mid", "own", stage.params.train.recipes.own, EnergyLoss, 0, *[_an_image()] * 2, 2, None), 1)
        moved.append(Detector.from_pretrained(stage.write() / "seed-1").fc.bias - start.fc.bias.detach())
    torch.testing.assert_close(moved[1], 1.9 * moved[0], rtol=1e-3, atol=1e-6)


def _an_image():
    return Images(torch.zeros(1, 16, 16, 3, dtype=torch.uint8), torch.tensor([0]))
