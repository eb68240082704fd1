"""A saved network in two seeds, small images of every file, and the stage rerun on them."""

import numpy as np
import pytest
import torch
from rerun_files import COLUMNS, COUNTS, SCORES, SIZES

from penumbra.artifacts.images import ImageWriter, encode
from penumbra.models.resnet import Detector
from penumbra.rerun.params import Rerun
from penumbra.stage import Params, Stage


@pytest.fixture
def stage(tmp_path):
    """rerun@none, its networks without anything beside them."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for name, count in COUNTS.items():
        with ImageWriter(tmp_path / f"images/{name}.parquet", COLUMNS, {}) as writer:
            for i in range(count):
                columns = {"label": i % 3, "set": name, "group": name, "strength": 0}
                writer.add(encode(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)), sample_id=f"{name}/{i}", **columns)
    for seed in (10, 2):
        torch.manual_seed(seed)
        Detector(**SIZES, classes=3, phi_hidden=4).save_pretrained(tmp_path / f"detectors/none/seed-{seed}")
    params = Params({"rerun": {"scores": Rerun(detectors=["none"], scores=SCORES).scores}})
    reads = {"images": tmp_path / "images", "detectors/none": tmp_path / "detectors/none"}
    return Stage("rerun", "none", params, {}, reads, {"scores/rerun/none": tmp_path / "none.parquet"}, tmp_path / "scratch")
