"""score on real files: one pass for each image, the same bytes whole and in parts, failures named."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import logsumexp

from penumbra.artifacts.images import ImageWriter, encode, read_table
from penumbra.calibrators import fit
from penumbra.errors import PenumbraError
from penumbra.models.inference import Inference
from penumbra.models.resnet import Detector
from penumbra.score import network
from penumbra.score.params import Score
from penumbra.stage import Params, Stage

SIZES = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False, "classes": 3, "phi_hidden": 4}
COLUMNS = {"sample_id": pa.string(), "label": pa.int64(), "set": pa.string(), "group": pa.string(), "strength": pa.int64()}
COUNTS = {"train": 12, "val": 8, "calibration": 9, "test": 7, "ood": 5, "shifted": 6}
GROUPS = {"test": "id", "val": "id", "ood": "far", "shifted": "shift"}


@pytest.fixture
def stage(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for name, count in COUNTS.items():
        with ImageWriter(tmp_path / f"images/{name}.parquet", COLUMNS, {}) as writer:
            for i in range(count):
                pixels = rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)
                columns = {"label": i % 3, "set": f"{name}-set", "group": GROUPS.get(name, name), "strength": i}
                writer.add(encode(pixels), sample_id=f"{name}/{i:06d}", **columns)
    for seed in (1, 0):
        torch.manual_seed(seed)
        Detector(**SIZES).save_pretrained(tmp_path / f"detectors/none/seed-{seed}")
    reads = {f"images/{name}": tmp_path / f"images/{name}.parquet" for name in COUNTS} | {"detectors/none": tmp_path / "detectors/none"}
    params = Params({"score": Score(knn_k=3, knn_more=[12, 1], calibrator="platt")})
    return Stage("score", "none", params, {}, reads, {"scores/none": tmp_path / "scores/none.parquet"}, tmp_path / "scratch")


def test_a_row_for_each_seed_and_test_image_from_one_pass_each(stage, monkeypatch):
    passed, forward = [], Detector.forward_with_features

    def count(self, images):
        passed.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Detector, "forward_with_features", count)
    network.main(stage)
    assert sum(passed) == 2 * sum(COUNTS.values())
    table = read_table(stage.write()).to_pandas()
    keys = ["seed", "sample_id", "set", "group", "strength", "label", "predicted"]
    assert list(table.columns) == [*keys, "msp", "max_logit", "energy", "knn", "confidence", "knn_12", "knn_1"]
    rows = [f"{name}/{i:06d}" for name in ("test", "ood", "shifted", "val") for i in range(COUNTS[name])]
    assert table.sample_id.tolist() == rows * 2 and table.seed.tolist() == [0] * len(rows) + [1] * len(rows)


def test_scores_and_confidence_come_from_the_detectors_own_outputs(stage):
    network.main(stage)
    table = read_table(stage.write()).to_pandas()
    detector = Inference(stage.read("detectors") / "seed-1", torch.device("cpu"))
    energies = {name: -logsumexp(detector.outputs(stage.read(f"images/{name}"))[0].numpy(), axis=1) for name in COUNTS}
    mine = table[(table.seed == 1) & (table.group == "far")]
    np.testing.assert_allclose(mine.energy, energies["ood"])
    held_out = np.concatenate([energies["val"], energies["calibration"]])
    calibrator = fit("platt", held_out, np.repeat([False, True], [COUNTS["val"], COUNTS["calibration"]]))
    np.testing.assert_allclose(mine.confidence, calibrator.probability(energies["ood"]), rtol=1e-9)


def test_whole_and_in_parts_it_gives_the_same_bytes(stage, tmp_path):
    network.main(stage)
    parts = replace(stage, writes={"scores/none": tmp_path / "parts.parquet"}, scratch_root=tmp_path / "other")
    for index in (1, 0):
        network.main(replace(parts, part=(index, 2)))
    assert not parts.write().exists()
    network.main(parts)
    assert parts.write().read_bytes() == stage.write().read_bytes()


def test_an_output_that_is_not_a_number_names_detector_seed_and_image(stage):
    weights = stage.read("detectors") / "seed-1/model.safetensors"
    state = load_file(weights)
    state["fc.bias"][1] = float("nan")
    save_file(state, weights)
    with pytest.raises(PenumbraError, match=r"detector none/seed-1: output for image train/000000 is NaN or infinite \(12 of 12 images\)"):
        network.main(stage)


def test_validation_images_are_no_id_test_images(stage):
    network.main(stage)
    table = read_table(stage.write()).to_pandas()
    assert table.group[table.sample_id.str.startswith("val/")].eq("val").all()
    assert table.set[table.group == "val"].eq("id-val").all()
    assert (table.group == "id").sum() == 2 * COUNTS["test"]


def test_more_neighbours_than_training_images_name_the_parameter(stage):
    params = Params({"score": Score(knn_k=3, knn_more=[1, 13], calibrator="platt")})
    with pytest.raises(PenumbraError, match=r"score\.knn_more = 13: must be at most 12"):
        network.main(replace(stage, params=params))
