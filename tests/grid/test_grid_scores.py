"""grid@DETECTOR on saved networks: the scores are those that test images have, whichever way they come, and parts change no byte."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from penumbra.artifacts.images import ImageWriter, encode
from penumbra.grid import scores as grid
from penumbra.grid.cells import COLUMNS as OF_GRID
from penumbra.grid.params import Morphs
from penumbra.infer import network as infer
from penumbra.models.resnet import Detector
from penumbra.score import step as score
from penumbra.score.params import Score
from penumbra.stage import Params, Stage

COLUMNS = {"sample_id": pa.string(), "label": pa.int64(), "set": pa.string(), "group": pa.string(), "strength": pa.int64()}
COUNTS = {"train": 30, "val": 6, "calibration": 5, "test": 8, "ood": 5, "shifted": 3}
SIZES = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False}
MORE = {"gradnorm": {"score": "gradnorm"}, "react": {"score": "react", "quantile": [0.8, 0.9], "images": "train"}}
MORE |= {"gram": {"score": "gram", "powers": 2, "by": "predicted"}, "layers": {"score": "mahalanobis-layers", "ridge": 0.1}}


@pytest.fixture
def stage(tmp_path):
    """Networks of two seeds, what they say of all images, and two grids: of the test images themselves, and of the OOD images."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "grids").mkdir()
    grids = {}
    for name, count in COUNTS.items():
        pictures = [encode(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)) for _ in range(count)]
        with ImageWriter(tmp_path / f"images/{name}.parquet", COLUMNS, {}) as writer:
            for i, picture in enumerate(pictures):
                writer.add(picture, sample_id=f"{name}/{i}", label=i % 3, set=name, group=name, strength=0)
        if name in ("test", "ood"):
            with ImageWriter(tmp_path / f"grids/{name}-grid.parquet", OF_GRID, {}) as writer:
                for i, picture in enumerate(pictures):
                    writer.add(picture, sample_id=f"{name}/{i}", source_id="", semantic=i % 2, covariate=i // 4)
            grids[f"{name}-grid"] = Morphs(novel=["ood"], levels=2, shift="blur", strongest=0.1, per_cell=1)
    for seed in (10, 2):
        torch.manual_seed(seed)
        Detector(**SIZES, classes=3, phi_hidden=4).save_pretrained(tmp_path / f"detectors/none/seed-{seed}")
    params = Params(
        {"grid": {"morphs": grids, "folder": {}}, "score": Score(knn_k=3, knn_more=[2], calibrator="platt", more=MORE), "common": {}}
    ).beside(infer={"layers": "all", "powers": 2})
    reads = {name: tmp_path / name for name in ("images", "grids", "detectors/none", "outputs/none")}
    infer.main(Stage("infer", "none", params, {}, reads, {"outputs/none": tmp_path / "outputs/none"}, tmp_path / "scratch"))
    return Stage("grid", "none", params, {}, reads, {"scores/grid/none": tmp_path / "none.parquet"}, tmp_path / "scratch")


def test_test_images_have_the_scores_that_they_have_as_test_images(stage, tmp_path):
    grid.main(stage)
    found = pd.read_parquet(stage.write())
    score.main(replace(stage, step="score", writes={"scores/none": tmp_path / "scores.parquet"}))
    known = pd.read_parquet(tmp_path / "scores.parquet")
    columns = [name for name in known if name not in ("seed", "sample_id", "set", "group", "strength", "label", "predicted")]
    assert {"msp", "energy", "knn", "knn_2", "confidence", "gradnorm", "react", "gram", "layers"} <= set(columns)
    assert set(found) == {"seed", "grid", "sample_id", "semantic", "covariate", *columns}
    keys = ["seed", "sample_id"]
    beside = known[known.set.isin(["test", "ood"])].sort_values(keys).reset_index(drop=True)
    found = found.sort_values(keys).reset_index(drop=True)
    assert found[keys].equals(beside[keys]) and len(found) == 2 * (8 + 5)
    pd.testing.assert_frame_equal(found[columns], beside[columns], rtol=1e-6, check_dtype=False)


def test_parts_change_no_byte(stage, tmp_path):
    grid.main(stage)
    parts = replace(stage, writes={"scores/grid/none": tmp_path / "parts.parquet"}, scratch_root=tmp_path / "other")
    for part in ((1, 2), None):
        grid.main(replace(parts, part=part))
    assert parts.write().read_bytes() == stage.write().read_bytes()
