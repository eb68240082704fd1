"""The CLIP detector: losses against their equations, what training moves and what it leaves, saved states, clear errors."""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from training_files import contents

from clip_features import (
    LOGIT_SCALE,
    OUTLIER,
    OUTLIERS,
    RECIPE,
    TEST,
    WORDS,
    ZERO_SHOT,
    FakeClip,
    label_features,
    made_features,
    near,
    write_clip_features,
    write_made,
)
from penumbra import training
from penumbra.artifacts.images import read_pixels
from penumbra.artifacts.negatives import write_negatives
from penumbra.artifacts.tables import write_parquet
from penumbra.errors import PenumbraError
from penumbra.labels import grouped
from penumbra.models.clip_detector import ClipDetector
from penumbra.stage import Params, Stage
from penumbra.train.losses.clip import exposure, loop, plan, seeds
from penumbra.train.losses.clip.exposure import Exposure, Features, Phase, Schedule, matched
from penumbra.train.losses.clip.loss import image_loss, label_loss
from penumbra.train.losses.clip.params import Recipe
from penumbra.train.losses.clip.seeds import beside, pool
from penumbra.train.params import Detector
from tiny_clip import write_tiny_clip

KIT = ("features/clip", "features/negatives", "models/clip")


@pytest.fixture
def make_stage(tmp_path, monkeypatch):
    def make(place="one", kit=KIT, base=RECIPE, bands=("all",), **recipe) -> Stage:
        files = write_clip_features(tmp_path / "data")
        monkeypatch.setattr(seeds.Clip, "load", lambda path, device: FakeClip(made_features()))
        method = "none" if base is ZERO_SHOT else "synood"
        inputs = (f"outliers/{method}", *(f"selections/{method}/{band}" for band in bands))
        reads = {name: files[name] for name in ("images/train", "images/val", *inputs, *kit)}
        detectors = {"clip-synood": Detector(method=method, recipe="own", bands=list(bands))}
        own = Recipe(**base).model_copy(update=recipe)
        params = {"common": {"seed": 0}, "train": {"seeds": [3, 1], "recipes": {"own": own}, "detectors": detectors}}
        writes = {"detectors/clip-synood": tmp_path / place / "clip-synood"}
        return Stage("train", "clip-synood", Params(params), {"torch": "2"}, reads, writes, tmp_path / place / "scratch")

    return make


def trained(stage, seed=1):
    plan.main(stage)
    return ClipDetector.from_pretrained(stage.write() / f"seed-{seed}")


def zero_shot(project=True, residual=True):
    torch.manual_seed(0)
    order = grouped(len(WORDS), 4, torch.Generator().manual_seed(0))
    return ClipDetector.zero_shot(
        label_features(), order, temperature=None, mcm_temperature=1.0, project=project, residual=residual
    ).requires_grad_(False)


def raw(count, seed=0):
    return 3 * torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))


# The losses


def loss_inputs():
    draws = torch.Generator().manual_seed(0)
    features, texts, negatives = (torch.randn(count, 5, generator=draws, dtype=torch.float64) for count in (6, 3, 4))
    return features, texts, negatives, torch.tensor([0, 2, 1, 3 + 1, 3 + 3, 3 + 1])


def exponentials(features, labels, temperature):
    """exp(cos/tau), entry by entry."""
    cosine = lambda a, b: sum(a * b) / math.sqrt(sum(a * a) * sum(b * b))  # noqa: E731
    return np.array([[math.exp(cosine(a, b) / temperature) for b in labels.numpy()] for a in features.numpy()])


@pytest.mark.parametrize(("classes", "start"), [("all", 0), ("matched", 3)])
def test_the_image_loss_is_equation_12_over_all_labels_or_the_matched_ones(classes, start):
    features, texts, negatives, targets = loss_inputs()
    e = exponentials(features, torch.cat([texts, negatives]), 0.3)
    expected = -np.mean([math.log(e[i, y] / sum(e[i, start:])) for i, y in enumerate(targets.tolist())])
    assert image_loss(features, targets, texts, negatives, 0.3, classes).item() == pytest.approx(expected)


def test_the_label_loss_runs_over_labels_or_as_equation_14_over_images():
    features, _, negatives, targets = loss_inputs()
    y = (targets % 3).tolist()
    e = exponentials(features, negatives, 0.3)
    by_image = -np.mean([math.log(e[i, y[i]] / sum(e[i])) for i in range(6)])
    by_text = -np.mean([math.log(e[i, y[i]] / sum(e[j, y[i]] for j in range(6))) for i in range(6)])
    assert label_loss(features, torch.tensor(y), negatives, 0.3, "image").item() == pytest.approx(by_image)
    assert label_loss(features, torch.tensor(y), negatives, 0.3, "text").item() == pytest.approx(by_text)


@pytest.mark.parametrize("kind", ["all", "matched", "image", "text"])
def test_their_gradients_are_those_of_finite_differences(kind):
    features, texts, negatives, targets = loss_inputs()

    def loss(x, labels):
        if kind in ("all", "matched"):
            return image_loss(x, targets, texts, labels, 0.3, kind)
        return label_loss(x, targets % 3, labels, 0.3, kind)

    assert torch.autograd.gradcheck(loss, (features.requires_grad_(), negatives.requires_grad_()))


def test_rates_are_the_official_ones():
    parameter = torch.nn.Parameter(torch.zeros(1))
    sgd = torch.optim.SGD([parameter], 1.0)

    def rates(schedule, total):
        for epoch in range(total):
            schedule.set_rate(epoch, total)
            yield sgd.param_groups[0]["lr"]

    assert list(rates(Schedule(sgd, 1e-3, 1e-5), 3)) == pytest.approx([1e-3, 7.525e-4, 2.575e-4])
    assert list(rates(Schedule(sgd, 2e-2), 5)) == pytest.approx([2e-2, 1.81e-2, 1.31e-2, 6.9e-3, 1.9e-3], rel=0.01)


# The detector


def test_with_a_zeroed_layer_norm_the_residual_layer_returns_plain_clip_features():
    detector, plain, features = zero_shot(), zero_shot(project=False), raw(9)
    assert (detector.image_features(features) - F.normalize(features, dim=1)).abs().max() > 0.1
    torch.nn.init.zeros_(detector.delta[1].weight)
    torch.nn.init.zeros_(detector.delta[1].bias)
    torch.testing.assert_close(detector.image_features(features), F.normalize(features, dim=1), rtol=0, atol=0)
    for ours, theirs in zip(detector(features), plain(features), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_without_the_residual_features_are_the_layers_alone():
    detector, features = zero_shot(residual=False), raw(9)
    torch.testing.assert_close(detector.image_features(features), F.normalize(detector.delta(features), dim=1))


def test_the_layer_has_the_published_number_of_parameters():
    detector = ClipDetector(
        names=["a"], words=["b"], width=512, groups=1, temperature=0.01, mcm_temperature=1.0, project=True, residual=True
    )
    assert sum(parameter.numel() for parameter in detector.parameters()) == 263_680


def test_the_temperature_is_the_models_own_unless_it_is_given():
    assert zero_shot().temperature == pytest.approx(1 / LOGIT_SCALE)
    order = grouped(17, 4, torch.Generator())
    assert (
        ClipDetector.zero_shot(label_features(), order, temperature=0.5, mcm_temperature=1.0, project=False, residual=True).temperature
        == 0.5
    )


def test_outliers_are_matched_to_the_nearest_negative_label_and_to_no_class(monkeypatch):
    monkeypatch.setattr(exposure, "BLOCK", 4)
    labels, features = label_features(), raw(11)
    cosines = F.normalize(features, dim=1) @ F.normalize(labels.negative, dim=1).T
    assert matched(features, labels.negative).tolist() == [max(range(17), key=row.tolist().__getitem__) for row in cosines]
    assert matched(5 * labels.negative.flip(0), labels.negative).tolist() == list(range(17))[::-1]
    assert matched(labels.id, labels.negative).max() < 17


# Which images


def test_a_smaller_amount_of_outliers_is_part_of_a_larger_one_and_in_the_files_order():
    draws = lambda: torch.Generator().manual_seed(7)  # noqa: E731
    few, many = pool(100, 10, draws()), pool(100, 30, draws())
    assert len(few) == 10 and set(few.tolist()) < set(many.tolist()) and many.tolist() == sorted(many.tolist())
    assert few.tolist() != list(range(10))
    assert pool(100, None, draws()).tolist() == pool(100, 200, draws()).tolist() == list(range(100))


def test_id_images_are_the_sources_each_once_and_round_trips_those_of_the_same_images():
    train = Features(torch.arange(6.0)[:, None], torch.tensor([0, 1, 2, 0, 1, 2]))
    sources = torch.tensor([4, 1, 4, -1])
    images = beside(train, sources, None)
    assert images.values[:, 0].tolist() == [1, 4] and images.labels.tolist() == [1, 1]
    round_trips = (torch.tensor([[20.0], [10.0], [-1.0], [40.0]]), torch.tensor([2, 1, -1, 4]))
    images = beside(train, sources, round_trips)
    assert images.values[:, 0].tolist() == [1, 4, 10, 40] and images.labels.tolist() == [1, 1, 1, 1]
    assert len(beside(train, torch.tensor([-1, -1]), None)) == 6


def exposure_of(detector, **recipe):
    labels, draws = label_features(), torch.Generator().manual_seed(1)
    images = Features(near(labels.id, torch.arange(9) % 3, draws), torch.arange(9) % 3)
    return Exposure(detector, Recipe(**RECIPE | recipe), images, near(labels.negative, torch.tensor([2, 2, 9, 5]), draws))


def test_outliers_follow_id_images_with_the_place_of_their_label_among_the_matched():
    exposure = exposure_of(zero_shot())
    matches = matched(exposure.outliers.values, label_features().negative)
    assert exposure.rows.tolist() == sorted(set(matches.tolist()))
    assert exposure.images.labels.tolist() == [0, 1, 2] * 3 + [3 + exposure.rows.tolist().index(row) for row in matches.tolist()]
    assert torch.equal(exposure.rows[exposure.outliers.labels], matches)


@pytest.mark.parametrize("strategy", ["separate", "projected"])
def test_labels_are_tuned_with_or_without_the_layer(strategy):
    detector = zero_shot()
    exposure = exposure_of(detector, strategy=strategy)
    phases = {phase.name: phase for phase in exposure.phases()}
    assert list(phases) == ["project", "tune"]
    features = exposure.outliers.values if strategy == "separate" else detector.image_features(exposure.outliers.values)
    expected = label_loss(features, exposure.outliers.labels, label_features().negative[exposure.rows], 1 / LOGIT_SCALE, "image")
    assert phases["tune"].loss(torch.arange(4)).item() == pytest.approx(expected.item())
    assert phases["tune"].parts.keys() == {"labels"} and phases["project"].parts.keys() == {"delta"}


def test_together_they_are_trained_on_the_sum_of_both_losses_behind_the_layer():
    detector = zero_shot()
    exposure = exposure_of(detector, strategy="joint")
    (phase,) = exposure.phases()
    batch, rows = torch.tensor([0, 11, 5, 9]), label_features().negative[exposure.rows]
    features, labels = detector.image_features(exposure.images.values[batch]), exposure.images.labels[batch]
    expected = image_loss(features, labels, label_features().id, rows, 1 / LOGIT_SCALE, "all")
    expected = expected + label_loss(features[[1, 3]], labels[[1, 3]] - 3, rows, 1 / LOGIT_SCALE, "image")
    assert phase.loss(batch).item() == pytest.approx(expected.item())
    assert (phase.name, phase.epochs, phase.parts.keys()) == ("joint", 3, {"delta", "labels"})
    assert torch.isfinite(phase.loss(torch.tensor([0, 1])))  # a batch without an outlier


def test_the_order_of_images_belongs_to_the_seed_and_the_epoch_whatever_else_was_drawn():
    setting = loop.Setting("own", "own", Recipe(**RECIPE), 0, None)

    def batches(key, drawn):
        seen, weight = [], torch.nn.Parameter(torch.zeros(()))
        torch.manual_seed(drawn)
        phase = Phase("tune", 2, 20, lambda rows: seen.append(rows.tolist()) or weight * 0, {}, {})
        loop.train_epoch(phase, setting, key)
        return seen

    first = batches((0, 1, 1), drawn=3)
    assert first == batches((0, 1, 1), drawn=4) != batches((0, 2, 1), drawn=3)
    assert [len(rows) for rows in first] == [8, 8, 4] and sorted(sum(first, [])) == list(range(20))


# The stage


def test_it_writes_a_detector_for_each_seed_and_one_history_of_all_phases(make_stage):
    stage = make_stage()
    plan.main(stage)
    files = {f"seed-{k}/{name}" for k in (1, 3) for name in ("config.json", "model.safetensors")} | {"history.csv"}
    assert set(contents(stage.write())) == files
    history = pd.read_csv(stage.write() / "history.csv")
    assert list(history.columns) == ["seed", "phase", "epoch", "loss", "val_loss", "val_accuracy", "steps"]
    assert history.seed.tolist() == [3] * 6 + [1] * 6
    assert history.phase.tolist() == ["start", "project", "project", "project", "tune", "tune"] * 2
    assert history.epoch.tolist() == [0, 1, 2, 3, 1, 2] * 2
    for _, phase in history[history.phase != "start"].groupby(["seed", "phase"]):
        assert phase.loss.is_monotonic_decreasing
        assert phase.steps.min() > 0 and (phase.steps == phase.epoch * phase.steps.min()).all()
    assert not (stage.scratch_root / stage.name).exists()


def test_whole_in_parts_and_resumed_it_gives_the_same_bytes_of_clip(make_stage, monkeypatch):
    recipe = {"strategy": "projected", "control": True, "outliers": 9, "kit": (*KIT, "controls/repainting")}
    whole = make_stage("whole", **recipe)
    plan.main(whole)

    parts = make_stage("parts", **recipe)
    for index in (1, 0):
        plan.main(replace(parts, part=(index, 2)))
    assert not parts.write().exists()
    plan.main(parts)

    killed = make_stage("killed", **recipe)
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", -1.0)
    real, epochs = loop.train_epoch, []

    def die_before_the_last_epoch_of_the_second_seed(*args):
        epochs.append(1)
        if len(epochs) == 10:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(loop, "train_epoch", die_before_the_last_epoch_of_the_second_seed)
    with pytest.raises(KeyboardInterrupt):
        plan.main(killed)
    plan.main(killed)
    assert len(epochs) == 10 + 2  # the last of the layer again, which is saved between epochs alone, and the one that is missing
    assert contents(whole.write()) == contents(parts.write()) == contents(killed.write())


def test_tuned_rows_map_back_to_their_words_after_reload_and_all_else_is_as_it_was(make_stage):
    stage = make_stage()
    detector, labels = trained(stage), label_features()
    outliers = made_features()[OUTLIER]
    rows = sorted(set(matched(outliers, labels.negative).tolist()))
    assert 1 < len(rows) < 17
    assert detector.tuned_words == [WORDS[row] for row in rows] and detector.words == WORDS
    moved = (detector.negatives - labels.negative).norm(dim=1)
    assert moved.nonzero()[:, 0].tolist() == rows
    assert torch.equal(detector.texts, labels.id) and torch.equal(detector.mcm_texts, labels.mcm)


def test_tuned_labels_come_nearer_to_their_outliers_and_the_layer_tells_outliers_from_id_images(make_stage):
    stage = make_stage(project_epochs=20)
    detector, labels = trained(stage), label_features()
    outliers, images = made_features()[OUTLIER], load_file(stage.read("features/clip"))["train"]
    row = matched(outliers, labels.negative)
    nearness = [F.cosine_similarity(outliers, rows[row]).mean() for rows in (labels.negative, detector.negatives)]
    assert nearness[1] > nearness[0]

    def gap(detector):
        return (detector(outliers).log_odds.mean() - detector(images[:7]).log_odds.mean()).item()

    assert gap(detector) > gap(zero_shot(project=False))


def test_a_saved_state_gives_the_same_scores_in_another_process(make_stage, tmp_path):
    stage = make_stage()
    detector, features = trained(stage), raw(20, seed=4)
    save_file({"features": features}, tmp_path / "features")
    code = (
        "import sys; from safetensors.torch import load_file, save_file; from penumbra.models.clip_detector import ClipDetector\n"
        "detector = ClipDetector.from_pretrained(sys.argv[1]); folder = sys.argv[2]\n"
        "save_file(detector(load_file(f'{folder}/features')['features'])._asdict(), f'{folder}/outputs')"
    )
    subprocess.run([sys.executable, "-c", code, str(stage.write() / "seed-1"), str(tmp_path)], check=True)
    for name, outputs in load_file(tmp_path / "outputs").items():
        torch.testing.assert_close(outputs, getattr(detector(features), name), rtol=0, atol=0)


def test_zero_shot_keeps_labels_alone_and_has_a_history_of_one_row_for_each_seed(make_stage):
    stage = make_stage(base=ZERO_SHOT)
    detector, labels = trained(stage), label_features()
    assert torch.equal(detector.negatives, labels.negative) and detector.tuned_words == [] and detector.delta is None
    history = pd.read_csv(stage.write() / "history.csv")
    assert history.phase.tolist() == ["start"] * 2 and history.loss.isna().all()
    tensors = load_file(stage.read("features/clip"))
    cosines = F.normalize(tensors["val"], dim=1) @ F.normalize(torch.cat([labels.id, labels.negative]), dim=1).T
    label = torch.arange(9) % 3
    assert history.val_accuracy[0] == pytest.approx((cosines[:, :3].argmax(1) == label).float().mean().item(), rel=1e-5)
    assert history.val_loss[0] == pytest.approx(F.cross_entropy(cosines * LOGIT_SCALE, label).item(), rel=1e-5)


def test_training_seeds_differ_by_their_groups_and_detectors_of_one_seed_share_them(make_stage):
    zero, tuned = make_stage("zero", base=ZERO_SHOT), make_stage("tuned")
    orders = [trained(stage, seed).order for stage in (zero, tuned) for seed in (1, 3)]
    assert torch.equal(orders[0], orders[2]) and torch.equal(orders[1], orders[3])
    assert not torch.equal(orders[0], orders[1])


def test_parts_that_are_not_asked_for_are_not_trained(make_stage):
    labels = trained(make_stage("labels", project=False))
    assert labels.delta is None and labels.tuned.any()
    layer = trained(make_stage("layer", tune=False))
    assert torch.equal(layer.negatives, label_features().negative) and not layer.tuned.any() and layer.tuned_words == []
    both = trained(make_stage("both"))  # the steps do not see each other
    assert torch.equal(both.negatives, labels.negatives)
    for ours, theirs in zip(both.delta.parameters(), layer.delta.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_round_trips_are_id_images_where_the_recipe_brings_them(make_stage, monkeypatch):
    seen = []

    def stop(detector, setting, seed, images, outliers, checkpoint):
        seen.append((images, outliers))
        raise KeyboardInterrupt

    monkeypatch.setattr("penumbra.train.losses.clip.seeds.train_detector", stop)
    for kit in (KIT, (*KIT, "controls/repainting")):
        with pytest.raises(KeyboardInterrupt):
            plan.main(make_stage(kit=kit))
    (images, outliers), (more, _) = seen
    train = load_file(make_stage().read("features/clip"))["train"]
    assert torch.equal(images.values, train[:7]) and len(outliers) == OUTLIERS
    assert torch.equal(more.values, torch.cat([train[:7], train[:7]])) and more.labels.tolist() == [0, 1, 2, 0, 1, 2, 0] * 2


def test_bands_choose_outliers_and_the_id_images_beside_them(make_stage, monkeypatch):
    seen = []

    def stop(detector, setting, seed, images, outliers, checkpoint):
        seen.append((images, outliers))
        raise KeyboardInterrupt

    monkeypatch.setattr("penumbra.train.losses.clip.seeds.train_detector", stop)
    stage = make_stage(bands=("mid",))
    write_parquet(stage.read("selections"), pd.DataFrame({"sample_id": ["synood/9", "synood/2", "synood/3"]}), {})
    with pytest.raises(KeyboardInterrupt):
        plan.main(stage)
    ((images, outliers),) = seen
    assert torch.equal(outliers, made_features()[OUTLIER][[2, 3, 9]])
    assert torch.equal(images.values, load_file(stage.read("features/clip"))["train"][[1, 4]])


def test_outliers_are_seen_by_the_model_of_the_recipe(make_stage, tmp_path, monkeypatch):
    """A real one: features are those of the images of the file, in its order."""
    write_tiny_clip(tmp_path / "tiny")
    stage = make_stage()
    monkeypatch.undo()
    seen = []

    def stop(detector, setting, seed, images, outliers, checkpoint):
        seen.append(outliers)
        raise KeyboardInterrupt

    monkeypatch.setattr("penumbra.train.losses.clip.seeds.train_detector", stop)
    with pytest.raises(KeyboardInterrupt):
        plan.main(replace(stage, reads=stage.reads | {"models/clip": tmp_path / "tiny"}))
    pixels = torch.from_numpy(read_pixels(stage.read("outliers/synood"))).permute(0, 3, 1, 2).float() / 255
    torch.testing.assert_close(seen[0], seeds.Clip.load(tmp_path / "tiny").embed_images(pixels))


def test_zero_shot_looks_at_no_image(make_stage, monkeypatch):
    stage = make_stage(base=ZERO_SHOT)
    monkeypatch.setattr(seeds.Clip, "load", lambda *_: pytest.fail("the model is loaded"))
    plan.main(stage)


@pytest.mark.parametrize(("kit", "missing"), [(KIT[1:], "features/clip"), (KIT[:2], "models/clip")])
def test_a_kit_that_lacks_something_is_refused(make_stage, kit, missing):
    with pytest.raises(PenumbraError, match=f"train@clip-synood reads 0 files named '{missing}'"):
        plan.main(make_stage(kit=kit))


def test_edited_test_images_are_refused(make_stage):
    stage = make_stage()
    rows = [(OUTLIER, row, f"train/{row // 2:06d}", "test" if row == 3 else "train") for row in range(OUTLIERS)]
    write_made(stage.read("outliers/synood"), rows)
    with pytest.raises(PenumbraError, match=r"synood.parquet: holds edited test images.* Take test out of splits"):
        plan.main(stage)


def test_a_source_that_does_not_exist_is_named(make_stage):
    stage = make_stage()
    write_made(stage.read("outliers/synood"), [(OUTLIER, row, f"train/{row + 25:06d}", "train") for row in range(OUTLIERS)])
    with pytest.raises(PenumbraError, match="synood.parquet: source_id train/000030 is no image of images/train"):
        plan.main(stage)


def test_outliers_that_were_made_from_no_image_stand_beside_all(make_stage):
    stage = make_stage()
    write_made(stage.read("outliers/synood"), [(OUTLIER, row, ("", None)[row % 2], "train") for row in range(OUTLIERS)])
    assert trained(stage).tuned.any()


def test_round_trips_of_test_images_alone_are_refused(make_stage):
    stage = make_stage(kit=(*KIT, "controls/repainting"))
    write_made(stage.read("controls/repainting"), [(TEST, 0, "test/000000", "test")])
    with pytest.raises(PenumbraError, match="holds no round trip of a training image. Put train into synthesize.control.repainting.splits"):
        plan.main(stage)


def test_no_candidate_is_an_error(make_stage):
    stage = make_stage()
    write_made(stage.read("outliers/synood"), [])
    with pytest.raises(PenumbraError, match="synood.parquet: holds no candidate"):
        plan.main(stage)


def test_labels_of_another_model_are_refused(make_stage):
    stage, labels = make_stage(), label_features()
    narrow = {name: getattr(labels, name)[:, :4] for name in ("id", "mcm", "negative")}
    write_negatives(stage.read("features/negatives"), replace(labels, **narrow), {})
    with pytest.raises(PenumbraError, match="is not of the model and the classes of"):
        plan.main(stage)


def test_more_groups_than_negative_labels_are_refused(make_stage):
    with pytest.raises(PenumbraError, match="17 negative labels are too few for 18 groups"):
        plan.main(make_stage(groups=18))


def test_a_diverging_clip_training_stops_with_its_reason(make_stage):
    message = r"train.recipes.own: in epoch \d of project the loss is \S+. Lower project_learning_rate"
    with pytest.raises(PenumbraError, match=message):
        plan.main(make_stage(project_learning_rate=1e30))
