"""A recipe without an epoch: the detector is the classifier, unchanged, whatever the seed."""

import pandas as pd
import torch
from training_files import train

from penumbra.artifacts.images import read_pixels
from penumbra.models.inference import Inference
from penumbra.models.resnet import Detector, ResNet
from penumbra.report import convergence


def test_the_classifier_is_written_as_it_is_for_every_seed(make_stage):
    stage = make_stage(["all"], kit=("classifier",), method="none", epochs=0, warmup_epochs=0)
    train(stage)
    classifier = ResNet.from_pretrained(stage.read("models/classifier"))
    images = torch.from_numpy(read_pixels(stage.read("images/val"))).permute(0, 3, 1, 2).float() / 255
    for seed in (3, 1):
        made = Detector.from_pretrained(stage.write() / f"seed-{seed}").state_dict()
        assert all(torch.equal(made[name], tensor) for name, tensor in classifier.state_dict().items())
        logits, _ = Inference(stage.write() / f"seed-{seed}", torch.device("cpu")).outputs(stage.read("images/val"))
        torch.testing.assert_close(logits.float(), classifier(images))


def test_its_history_is_one_row_without_a_step_and_has_no_curve(make_stage):
    stage = make_stage(["all"], kit=("classifier",), method="none", epochs=0, warmup_epochs=0)
    train(stage)
    history = pd.read_csv(stage.write() / "history.csv")
    assert list(history.columns) == ["seed", "epoch", "loss", "val_accuracy", "steps"]
    assert history.seed.tolist() == [3, 1] and history.loss.isna().all() and not history[["epoch", "steps"]].any(axis=None)
    classifier = ResNet.from_pretrained(stage.read("models/classifier"))
    images = torch.from_numpy(read_pixels(stage.read("images/val"))).permute(0, 3, 1, 2).float() / 255
    right = sum(row.argmax().item() == number % 2 for number, row in enumerate(classifier(images)))  # labels of the files alternate
    assert history.val_accuracy.tolist() == [right / 6] * 2
    assert convergence.figures({}, {"classifier": history}) == {}
