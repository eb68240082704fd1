"""Stages of latent detectors on small real files."""

import pytest
from latent_files import RECIPE, write_latent_files

from penumbra.stage import Params, Stage
from penumbra.train.losses.latent.params import Recipe
from penumbra.train.params import Detector


@pytest.fixture
def make_stage(tmp_path):
    def make(place="one", method="badood", bands=("all",), **recipe) -> Stage:
        files = write_latent_files(tmp_path / "data")
        inputs = (f"outliers/{method}", *(f"selections/{method}/{band}" for band in bands))
        reads = {name: files[name] for name in ("images/train", "images/val", "models/encoder", "features/encoder", *inputs)}
        detectors = {"badood-latent": Detector(method=method, bands=list(bands), recipe="own")}
        train = {"seeds": [3, 1], "recipes": {"own": Recipe(**RECIPE | recipe)}, "detectors": detectors}
        writes = {"detectors/badood-latent": tmp_path / place / "badood-latent"}
        params = Params({"common": {"seed": 0}, "train": train})
        return Stage("train", "badood-latent", params, {"torch": "2"}, reads, writes, tmp_path / place / "scratch")

    return make
