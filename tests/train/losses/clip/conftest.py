"""Stages of CLIP detectors on files of features."""

import pytest
from clip_stages import KIT

from clip_features import RECIPE, ZERO_SHOT, FakeClip, made_features, write_clip_features
from penumbra.stage import Params, Stage
from penumbra.train.losses.clip import seeds
from penumbra.train.losses.clip.params import Recipe
from penumbra.train.params import Detector


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
