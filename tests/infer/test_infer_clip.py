"""infer of CLIP detectors on files of features: outputs behind the detector's layer, no image read, failures named."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from clip_features import COUNTS, LOGIT_SCALE, label_features, write_clip_features
from penumbra.artifacts.features import read_features, write_features
from penumbra.artifacts.outputs import read_keys, read_pass, saved_passes
from penumbra.errors import PenumbraError
from penumbra.infer import clip
from penumbra.labels import grouped, neglabel_log_odds
from penumbra.models.clip_detector import ClipDetector
from penumbra.stage import Params, Stage


def detector(seed=0, project=True):
    settings = {"temperature": None, "mcm_temperature": 0.7, "project": project, "residual": True}
    torch.manual_seed(seed)
    return ClipDetector.zero_shot(label_features(), grouped(17, 4, torch.Generator().manual_seed(seed)), **settings)


@pytest.fixture
def stage(tmp_path):
    reads = write_clip_features(tmp_path)
    for seed in (1, 0):
        detector(seed).save_pretrained(tmp_path / f"detectors/clip-synood/seed-{seed}")
    reads = {"images": tmp_path / "images", "features/clip": reads["features/clip"]} | {
        "detectors/clip-synood": tmp_path / "detectors/clip-synood"
    }
    writes = {"outputs/clip-synood": tmp_path / "outputs/clip-synood"}
    return Stage("infer", "clip-synood", Params({"common": {"kernels": "native"}}), {}, reads, writes, tmp_path / "scratch")


def test_outputs_are_of_features_behind_the_layer_and_of_the_detectors_labels(stage):
    clip.main(stage)
    assert list(saved_passes(stage.write())) == [0, 1]
    found = read_pass(saved_passes(stage.write())[1])
    labels, tensors, delta = label_features(), load_file(stage.read("features/clip")), detector(1).delta
    assert (found.kind, found.mcm_temperature) == ("clip", 0.7)
    for name, count in COUNTS.items():
        with torch.no_grad():
            features = F.normalize(tensors[name] + delta(tensors[name]), dim=1)
        outputs = found.outputs[name]
        assert len(outputs.logits) == count
        torch.testing.assert_close(outputs.features, features)
        torch.testing.assert_close(outputs.logits, features @ F.normalize(labels.id, dim=1).T * LOGIT_SCALE)
        torch.testing.assert_close(outputs.concepts, features @ F.normalize(labels.mcm, dim=1).T)
        odds = neglabel_log_odds(features, labels.id, labels.negative, detector(1).order, 1 / LOGIT_SCALE)
        torch.testing.assert_close(outputs.log_odds, odds)
        torch.testing.assert_close(outputs.features @ found.weight.T + found.bias, outputs.logits)
    keys = read_keys(stage.write() / "images.parquet")
    assert {name: len(table) for name, table in keys.items()} == COUNTS


def test_whole_and_in_parts_it_gives_the_same_bytes_of_clip(stage, tmp_path):
    clip.main(stage)
    parts = replace(stage, writes={"outputs/clip-synood": tmp_path / "parts"}, scratch_root=tmp_path / "other")
    for index in (1, 0):
        clip.main(replace(parts, part=(index, 2)))
    assert not parts.write().exists()
    clip.main(parts)
    for path in stage.write().iterdir():
        assert (parts.write() / path.name).read_bytes() == path.read_bytes()


def test_missing_rows_of_features_are_named(stage):
    path = stage.read("features/clip")
    tensors, ids = read_features(path)
    write_features(path, tensors | {"ood": tensors["ood"][1:]}, ids, {})
    with pytest.raises(PenumbraError, match=r"6 rows for 7 images of images/ood"):
        clip.main(stage)


def test_a_state_that_is_not_a_number_names_detector_seed_and_image(stage):
    weights = stage.read("detectors") / "seed-1/model.safetensors"
    state = load_file(weights)
    state["delta.0.bias"][1] = float("nan")
    save_file(state, weights)
    with pytest.raises(PenumbraError, match=r"detector clip-synood/seed-1: output for image train/000000 is NaN .*\(30 of 30 images\)"):
        clip.main(stage)
