"""The objective written out, what is looked at before an epoch, and trainings that end alike."""

import math

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from training_files import SIZES, UDG, contents, train

from killed_training import killed
from penumbra.models.resnet import Detector
from penumbra.train.losses.udg.loss import UdgLoss
from penumbra.train.losses.udg.params import Recipe
from penumbra.train.network import loop
from penumbra.train.network.batches import batches
from penumbra.train.network.images import Batch, Images


def images(seed, labels):
    draws = torch.Generator().manual_seed(seed)
    return Images(torch.randint(0, 256, (len(labels), 16, 16, 3), generator=draws, dtype=torch.uint8), torch.tensor(labels))


TRAIN, POOL = images(0, [0, 1, 0, 1, 0, 1]), images(1, [-1] * 5)


def make_loss(**more):
    torch.manual_seed(0)
    detector = Detector(**SIZES, classes=2)
    return type("Timed", (UdgLoss,), {"steps": 2})(detector, Recipe(**UDG | more))


def test_the_objective_is_the_sum_of_its_three_parts():
    loss = make_loss(groups=3, beta=0.7, auxiliary=0.3)
    loss.look(TRAIN, POOL)
    loss.groups = torch.tensor([0, 1, 0, 1, 2, 2, 0, 1, 2, 2, 0])
    loss.labels = torch.tensor([0, 1, 0, 1, 0, 1, 0, -1, -1, 1, -1])
    loss.weights = torch.linspace(0.5, 1.5, 11)
    rows = torch.tensor([4, 1, 6, 8, 9])  # two ID images, and three outliers, of which two were given a class
    draws = torch.Generator().manual_seed(2)
    features, logits = torch.randn(5, 64, generator=draws), torch.randn(5, 2, generator=draws)
    found = loss(logits, features, Batch(torch.zeros(5), torch.tensor([0, 1, -1, -1, -1]), None, rows))
    log_p, log_q = logits.log_softmax(1), loss.head(features).log_softmax(1)
    cross_entropy = -(log_p[0, 0] + log_p[1, 1] + log_p[2, 0] + log_p[4, 1]) / 4
    uniformity = -(log_p[3, 0] + log_p[3, 1]) / 2
    auxiliary = -sum(loss.weights[row] * log_q[place, loss.groups[row]] for place, row in enumerate(rows.tolist())) / 5
    for name, expected in {"cross_entropy": cross_entropy, "uniformity": uniformity, "auxiliary": auxiliary}.items():
        torch.testing.assert_close(found[name], expected)
    torch.testing.assert_close(found["loss"], cross_entropy + 0.7 * uniformity + 0.3 * auxiliary)
    assert found["filtered"].item() == pytest.approx(2 / 3)
    loss.labels = loss.labels.clamp_min(0)  # no image is left without a class
    assert loss(logits, features, Batch(torch.zeros(5), torch.tensor([0, 1, -1, -1, -1]), None, rows))["uniformity"] == 0


def test_before_an_epoch_all_images_are_grouped_and_the_head_begins_afresh():
    loss = make_loss(groups=4, purity=0.0)
    loss.head.weight.data.fill_(9.0)
    loss.look(TRAIN, POOL)
    assert len(loss.groups) == len(loss.labels) == len(loss.weights) == 11
    assert loss.labels[:6].tolist() == TRAIN.labels.tolist()
    assert loss.head.weight.abs().max() < 0.1 and not loss.head.bias.any()
    shared = {group for group in loss.groups[:6].tolist()}
    assert [label >= 0 for label in loss.labels[6:].tolist()] == [group in shared for group in loss.groups[6:].tolist()]


def test_an_outlier_that_looks_as_an_id_class_is_given_it():
    """Two classes of flat grey: what is as bright as one of them falls into its groups, what is coloured does not."""
    noise = torch.randint(0, 8, (24, 16, 16, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    base = torch.tensor([[10, 10, 10]] * 10 + [[240, 240, 240]] * 10 + [[12, 12, 12], [238, 238, 238], [240, 0, 0], [0, 0, 240]])
    pixels = (noise + base[:, None, None]).to(torch.uint8)
    loss = make_loss(groups=4, dimensions=2)
    loss.look(Images(pixels[:20], torch.tensor([0] * 10 + [1] * 10)), Images(pixels[20:], torch.full((4,), -1)))
    assert loss.labels[20:22].tolist() == [0, 1]


def test_rows_say_which_image_stands_where_in_a_batch():
    p = Recipe(**UDG | {"crop_padding": 0, "flip": False, "batch_size": 3})
    every = torch.cat([TRAIN.pixels, POOL.pixels]).permute(0, 3, 1, 2).float() / 255
    for batch in batches(TRAIN, POOL, p, UdgLoss, (0, 0, 0)):
        assert torch.equal(batch.images, every[batch.rows]) and ((batch.rows >= 6) == (batch.labels < 0)).all()
    for batch in batches(TRAIN, None, p, UdgLoss, (0, 0, 0)):
        assert torch.equal(batch.images, every[batch.rows])


def test_the_auxiliary_head_learns_its_groups():
    loss = make_loss(groups=3, warmup_epochs=0, learning_rate=0.1, epochs=1000)
    loss.look(TRAIN, POOL)
    draws = torch.Generator().manual_seed(3)
    features = torch.randn(11, 64, generator=draws).requires_grad_()
    batch = Batch(torch.zeros(11), torch.cat([TRAIN.labels, POOL.labels]), None, torch.arange(11))
    found = []
    for _ in range(50):
        losses = loss(loss.detector.last_layer(features), features, batch)
        losses["loss"].backward()
        found.append(losses["auxiliary"].item())
    assert found[0] == pytest.approx(math.log(3) * loss.weights.mean().item(), rel=0.1) and found[-1] < 0.5 * found[0]
    expected = F.cross_entropy(loss.head(features), loss.groups, reduction="none")
    assert (loss.weights * expected).mean() < found[0]


def test_two_runs_are_equal_and_a_killed_one_ends_as_an_uninterrupted_one(make_stage, monkeypatch):
    whole, resumed = (make_stage(["all"], place=place, loss="udg", epochs=3) for place in ("one", "two"))
    train(whole)
    calls = killed(monkeypatch, loop, "train_epoch", 5, lambda: train(resumed))  # in the second epoch of the second seed
    train(resumed)
    assert [key[-1] for *_, key in calls] == [0, 1, 2, 0, 1, 1, 2]
    assert contents(resumed.write()) == contents(whole.write())
    history = pd.read_csv(whole.write() / "history.csv")
    parts = ["loss", "cross_entropy", "uniformity", "auxiliary", "filtered"]
    assert list(history.columns) == ["seed", "epoch", *parts, "val_accuracy", "steps"]
    assert history.filtered.between(0, 1).all()
    assert sorted(path.name for path in (whole.write() / "seed-3").iterdir()) == ["config.json", "model.safetensors"]
