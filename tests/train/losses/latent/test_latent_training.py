"""Training on representations: it learns, by the steps that are written out here, with the same bytes whole, in parts, after a kill."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from latent_files import CANDIDATES, KINDS, RECIPE, TRAIN, as_images, encoder, images_of, pictures
from safetensors.torch import load_file
from training_files import contents

from killed_training import killed
from penumbra.artifacts.images import read_table
from penumbra.errors import PenumbraError
from penumbra.logits import energy
from penumbra.models.classifiers.representation import Perceptron, RepresentationDetector
from penumbra.models.inference import Inference
from penumbra.train.features import Features
from penumbra.train.losses.latent import loop, plan
from penumbra.train.losses.latent.params import Recipe


def trained(stage, seed=1):
    plan.main(stage)
    return RepresentationDetector.from_pretrained(stage.write() / f"seed-{seed}")


def test_it_writes_a_detector_for_each_seed_with_the_encoder_in_it_and_one_history(make_stage):
    stage = make_stage()
    plan.main(stage)
    files = {f"seed-{k}/{name}" for k in (1, 3) for name in ("config.json", "model.safetensors")} | {"history.csv"}
    assert set(contents(stage.write())) == files and not (stage.scratch_root / stage.name).exists()
    history = pd.read_csv(stage.write() / "history.csv")
    assert list(history.columns) == ["seed", "epoch", "loss", "cross_entropy", "uncertainty", "val_accuracy", "steps"]
    assert history.seed.tolist() == [3] * 3 + [1] * 3 and history.steps.tolist() == [3, 6, 9] * 2
    saved = load_file(stage.write() / "seed-1/model.safetensors")
    frozen = encoder().state_dict()
    assert frozen and all(torch.equal(saved[f"encoder.{name}"], tensor) for name, tensor in frozen.items())


def test_it_learns_the_classes_and_that_outliers_have_a_higher_energy_on_images_it_has_not_seen(make_stage):
    kinds = torch.arange(30) % 3
    images = as_images(pictures(kinds.tolist(), 99))
    logits = trained(make_stage(epochs=30))(images)
    is_ood = kinds == KINDS["ood"]
    assert (logits[~is_ood].argmax(1) == kinds[~is_ood]).all()
    energies = energy(logits.double())
    assert energies[is_ood].min() > energies[~is_ood].max()
    without = energy(trained(make_stage("none", method="none", epochs=30))(images).double())

    def gap(values):
        return values[is_ood].mean() - values[~is_ood].mean()

    assert gap(energies) > gap(without) + 1


def test_without_outliers_it_is_the_cross_entropy_of_the_same_batches(make_stage):
    stage = make_stage(method="none")
    plan.main(stage)
    history = pd.read_csv(stage.write() / "history.csv")
    assert list(history.columns) == ["seed", "epoch", "loss", "cross_entropy", "val_accuracy", "steps"]
    assert history.loss.tolist() == history.cross_entropy.tolist()


def written_out(head, ids, labels, outliers, p):
    """Two steps of SGD on all rows, forward pass, loss (eq. 3 to 5), momentum and learning rate by hand; autograd alone is torch's."""
    values = {name: tensor.detach().clone().double().requires_grad_() for name, tensor in head.named_parameters()}
    speed = {name: torch.zeros_like(tensor) for name, tensor in values.items()}
    for step in range(2):
        rows = torch.cat([ids, outliers]).double()
        for layer in (0, 2):
            rows = (rows @ values[f"hidden.{layer}.weight"].T + values[f"hidden.{layer}.bias"]).clamp(min=0)
        logits = rows @ values["fc.weight"].T + values["fc.bias"]
        e = -torch.log(torch.exp(logits).sum(1))
        hidden = e[:, None] * values["phi.fc1.weight"].abs()[:, 0] + values["phi.fc1.bias"]
        phi = torch.where(hidden > 0, hidden, 0.1 * hidden) @ values["phi.fc2.weight"].abs()[0] + values["phi.fc2.bias"]
        right = torch.exp(logits[range(len(ids)), labels]) / torch.exp(logits[: len(ids)]).sum(1)
        ood = torch.sigmoid(phi)
        loss = -torch.log(right).mean() - p.beta * (torch.log(ood[len(ids) :]).mean() + torch.log(1 - ood[: len(ids)]).mean())
        gradients = torch.autograd.grad(loss, list(values.values()))
        rate = p.learning_rate * (0.5 * (1 + math.cos(math.pi * step / 2)))
        with torch.no_grad():
            for (name, tensor), gradient in zip(values.items(), gradients, strict=True):
                speed[name] = p.momentum * speed[name] + gradient + p.weight_decay * tensor
                tensor -= rate * speed[name]
    return values


def test_its_steps_are_those_written_out(tmp_path, monkeypatch):
    p = Recipe(**RECIPE | {"epochs": 2, "warmup_epochs": 0, "batch_size": TRAIN, "outliers_per_id": CANDIDATES / TRAIN})
    draws = torch.Generator().manual_seed(2)
    ids, outliers = torch.randn(TRAIN, 6, generator=draws), torch.randn(CANDIDATES, 6, generator=draws) + 1
    images = Features(ids, torch.arange(TRAIN) % 3)
    setting = loop.Setting("d", "own", p, 0, images, images, 3)
    start, real = [], Perceptron.__init__

    def kept(head, *args, **sizes):
        real(head, *args, **sizes)
        start.append({name: tensor.detach().clone() for name, tensor in head.state_dict().items()})

    monkeypatch.setattr(Perceptron, "__init__", kept)
    found, history = loop.train_detector(setting, 5, outliers, tmp_path / "x.pt")
    fresh = Perceptron(6, p.width, p.depth, 3, p.phi_hidden, p.phi_monotone)
    fresh.load_state_dict(start[0])
    for name, tensor in written_out(fresh, ids, images.labels, outliers, p).items():
        torch.testing.assert_close(dict(found.named_parameters())[name].double(), tensor, rtol=1e-4, atol=1e-6)
        assert not torch.equal(start[0][name], dict(found.named_parameters())[name])
    assert history.rows[-1]["val_accuracy"] == (found(ids)[0].argmax(1) == images.labels).sum().item() / TRAIN


def test_whole_in_parts_and_resumed_it_gives_the_same_bytes_of_latent(make_stage, monkeypatch):
    whole = make_stage("whole")
    plan.main(whole)
    parts = make_stage("parts")
    for index in (1, 0):
        plan.main(replace(parts, part=(index, 2)))
    assert not parts.write().exists()
    plan.main(parts)

    broken = make_stage("killed")
    epochs = killed(monkeypatch, loop, "train_epoch", 6, lambda: plan.main(broken))  # the last epoch of the second seed
    plan.main(broken)
    assert len(epochs) == 7
    assert contents(whole.write()) == contents(parts.write()) == contents(broken.write())


def test_a_detector_is_asked_about_images_as_every_network_is(make_stage):
    stage = make_stage()
    detector = trained(stage)
    path = stage.read("images/val")
    logits, features = Inference(stage.write() / "seed-1", torch.device("cpu")).outputs(path)
    wanted = detector.head(encoder().represent(images_of(path)))
    assert torch.equal(logits.float(), wanted[0]) and torch.equal(features.float(), wanted[1])
    torch.testing.assert_close(F.linear(features.float(), detector.last_layer.weight, detector.last_layer.bias), logits.float())


@pytest.mark.parametrize(("bands", "rows"), [(("all",), slice(None)), (("mid",), slice(None, None, 3))])
def test_outliers_are_the_chosen_candidates_before_they_were_decoded(make_stage, monkeypatch, bands, rows):
    seen = []

    def stop(setting, seed, outliers, checkpoint):
        seen.append((setting, outliers))
        raise KeyboardInterrupt

    monkeypatch.setattr("penumbra.train.losses.latent.seeds.train_detector", stop)
    stage = make_stage(bands=bands)
    with pytest.raises(KeyboardInterrupt):
        plan.main(stage)
    ((setting, outliers),) = seen
    column = torch.tensor(read_table(stage.read("outliers"), ["representation"])["representation"].to_pylist())[rows]
    assert torch.equal(outliers, column) and len(outliers) in (CANDIDATES, CANDIDATES // 3)
    assert torch.equal(setting.train.values, load_file(stage.read("features/encoder"))["representation"]) and setting.classes == 2
    assert torch.equal(setting.val.values, encoder().represent(images_of(stage.read("images/val"))))


def test_outliers_of_another_encoder_and_a_loss_that_is_not_finite_are_refused(make_stage, tmp_path):
    stage = make_stage()
    encoder().__class__(**encoder().config | {"projection": 5}).save_pretrained(tmp_path / "other")
    with pytest.raises(PenumbraError, match=r"outliers/badood.parquet: its representations have 12 numbers, those of the encoder 5"):
        plan.main(replace(stage, reads=stage.reads | {"models/encoder": tmp_path / "other"}))
    with pytest.raises(PenumbraError, match=r"train.recipes.own: in epoch [12] the loss is (inf|nan). Lower learning_rate or beta."):
        plan.main(make_stage(learning_rate=1e9))
