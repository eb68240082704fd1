"""Stages of train on small real files: 20 ID images, candidates of one method, reconstructions, and a classifier."""

import pandas as pd
import pytest
import torch
from training_files import CANDIDATES, ENERGY, SIZES, TRAIN, UNIFORM, write_images

from penumbra.artifacts.tables import write_parquet
from penumbra.models.resnet import ResNet
from penumbra.stage import Params, Stage


@pytest.fixture
def make_stage(tmp_path):
    data = tmp_path / "data"

    def make(bands, place="one", kinds=("outliers", "selections"), loss="energy", splits=("train", "test"), sources=10, **recipe) -> Stage:
        reads = {
            f"images/{name}": write_images(data / f"images/{name}.parquet", count) for name, count in {"train": TRAIN, "val": 6}.items()
        }
        write_images(data / "outliers/badood.parquet", CANDIDATES, label=0, sources=sources)
        write_images(data / "outliers/reconstruction.parquet", 2 * TRAIN, splits=splits)
        selection = pd.DataFrame({"sample_id": [f"badood/{i:06d}" for i in range(CANDIDATES)], "band": ["low", "mid", "mid"] * 4}).iloc[
            ::-1
        ]
        write_parquet(data / "selections/badood.parquet", selection, {})
        reads |= {f"{kind}/badood": data / kind / "badood.parquet" for kind in kinds if kind in ("outliers", "selections")}
        if "reconstruction" in kinds:
            reads["outliers/reconstruction"] = data / "outliers/reconstruction.parquet"
        if "classifier" in kinds:
            torch.manual_seed(5)
            ResNet(**SIZES, classes=2).save_pretrained(data / "models/classifier")
            reads["models/classifier"] = data / "models/classifier"
        recipes = {"own": (ENERGY if loss == "energy" else UNIFORM) | recipe}
        detectors = {"badood-mid": {"recipe": "own", "bands": bands}}
        params = {"common": {"seed": 0}, "train": {"seeds": [3, 1], "recipes": recipes, "detectors": detectors}}
        writes = {"detectors/badood-mid": tmp_path / place / "badood-mid"}
        return Stage("train", "badood-mid", Params(params), {"torch": "2"}, reads, writes, tmp_path / place / "scratch")

    return make
