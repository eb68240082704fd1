"""The CLIP detector: what training moves and what it leaves, saved states, the same bytes whole, in parts and after a kill."""

import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from clip_stages import KIT, raw, zero_shot
from safetensors.torch import load_file, save_file
from training_files import contents

from clip_features import (
    LOGIT_SCALE,
    OUTLIER,
    OUTLIERS,
    WORDS,
    ZERO_SHOT,
    label_features,
    made_features,
    write_made,
)
from killed_training import killed
from penumbra.artifacts.images import read_pixels
from penumbra.artifacts.tables import write_parquet
from penumbra.models.clip_detector import ClipDetector
from penumbra.train.losses.clip import loop, plan, seeds
from penumbra.train.losses.clip.exposure import matched
from tiny_clip import write_tiny_clip


def trained(stage, seed=1):
    plan.main(stage)
    return ClipDetector.from_pretrained(stage.write() / f"seed-{seed}")


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

    resumed = make_stage("killed", **recipe)
    epochs = killed(monkeypatch, loop, "train_epoch", 10, lambda: plan.main(resumed))  # before the last epoch of the second seed
    plan.main(resumed)
    assert len(epochs) == 10 + 2  # the last of the layer again, which is saved between epochs alone, and the one that is missing
    assert contents(whole.write()) == contents(parts.write()) == contents(resumed.write())


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


def test_outliers_that_were_made_from_no_image_stand_beside_all(make_stage):
    stage = make_stage()
    write_made(stage.read("outliers/synood"), [(OUTLIER, row, ("", None)[row % 2], "train") for row in range(OUTLIERS)])
    assert trained(stage).tuned.any()
