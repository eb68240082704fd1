"""A saved network in two seeds, small images of every file, and the stage rerun on them."""

import pytest
import torch
from rerun_files import COUNTS, SCORES, SIZES

from image_files import noise, write_image_files
from penumbra.models.resnet import Detector
from penumbra.rerun.params import Rerun
from penumbra.stage import Params, Stage


@pytest.fixture
def stage(tmp_path):
    """rerun@none, its networks without anything beside them."""
    write_image_files(tmp_path / "images", COUNTS, noise(32))
    for seed in (10, 2):
        torch.manual_seed(seed)
        Detector(**SIZES, classes=3, phi_hidden=4).save_pretrained(tmp_path / f"detectors/none/seed-{seed}")
    params = Params({"rerun": {"scores": Rerun(detectors=["none"], scores=SCORES).scores}})
    reads = {"images": tmp_path / "images", "detectors/none": tmp_path / "detectors/none"}
    return Stage("rerun", "none", params, {}, reads, {"scores/rerun/none": tmp_path / "none.parquet"}, tmp_path / "scratch")
