"""Stages of train on small real files: 20 ID images, candidates of one method and their bands, and what a recipe may bring."""

from importlib import import_module

import pandas as pd
import pytest
import torch
from training_files import CANDIDATES, RECIPES, SIZES, TRAIN, write_images

from penumbra.artifacts.tables import write_parquet
from penumbra.models.resnet import ResNet
from penumbra.stage import Params, Stage
from penumbra.train.params import Detector


@pytest.fixture
def make_stage(tmp_path):
    """Candidates are of the bands low, mid, mid, low, mid, mid, ...; the rows of a selection go from the last to the first.

    `kit` names what the recipe brings: "classifier" (`start`, or a small ResNet), "reconstruction".
    """
    data = tmp_path / "data"

    def make(
        bands, place="one", kit=(), method="badood", loss="energy", splits=("train", "test"), sources=10, start=None, **recipe
    ) -> Stage:
        reads = {
            f"images/{name}": write_images(data / f"images/{name}.parquet", count) for name, count in {"train": TRAIN, "val": 6}.items()
        }
        reads["outliers/badood"] = write_images(data / "outliers/badood.parquet", CANDIDATES, label=0, sources=sources)
        reads["outliers/none"] = write_images(data / "outliers/none.parquet", 0)
        every = pd.DataFrame({"sample_id": [f"badood/{i:06d}" for i in range(CANDIDATES)], "band": ["low", "mid", "mid"] * 4}).iloc[::-1]
        selections = {"all": every[["sample_id"]], "random": every} | {band: every[every.band == band] for band in ("low", "mid", "high")}
        selections |= {"upper": every[:0], "third": every[4:8]}
        for name, rows in selections.items():
            write_parquet(data / f"selections/badood/{name}.parquet", rows, {})
        write_parquet(data / "selections/none/all.parquet", every[["sample_id"]][:0], {})
        reads = {name: path for name, path in reads.items() if name.startswith("images/") or name == f"outliers/{method}"}
        reads |= {f"selections/{method}/{band}": data / f"selections/{method}/{band}.parquet" for band in bands}
        if "reconstruction" in kit:
            path = data / "recipes/own/controls/reconstruction.parquet"
            reads["controls/reconstruction"] = write_images(path, 2 * TRAIN, splits=splits)
        if "classifier" in kit:
            torch.manual_seed(5)
            (start or ResNet(**SIZES, classes=2)).save_pretrained(data / "recipes/own/models/classifier")
            reads["models/classifier"] = data / "recipes/own/models/classifier"
        kind, base = import_module(f"penumbra.train.losses.{loss}.params").Recipe, RECIPES[loss]
        detectors = {"badood-mid": Detector(method=method, bands=bands, recipe="own")}
        train = {"seeds": [3, 1], "recipes": {"own": kind(**base).model_copy(update=recipe)}, "detectors": detectors}
        params = Params({"common": {"seed": 0}, "train": train})
        writes = {"detectors/badood-mid": tmp_path / place / "badood-mid"}
        return Stage("train", "badood-mid", params, {"torch": "2"}, reads, writes, tmp_path / place / "scratch")

    return make
