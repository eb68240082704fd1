"""Encoder, MAGE and classifier on real files: a killed training resumes to the same bytes; published files are imported."""

import importlib

import numpy as np
import pyarrow as pa
import pytest
import torch

from killed_training import killed
from penumbra.artifacts.images import ImageWriter, encode
from penumbra.errors import PenumbraError
from penumbra.models.mage import MAGE
from penumbra.models.moco import MoCoEncoder
from penumbra.pretrain import mage as mage_step
from penumbra.stage import Params, Stage

ENCODER = {"image_size": 8, "patch_size": 4, "width": 16, "depth": 1, "heads": 2, "projection_hidden": 16, "projection": 6}
VIEWS = {"crop_area": [0.5, 1.0], "crop_aspect": 1.2, "rotation": 12, "flip": True, "contrast": 0.3, "brightness": 0.1}
VIEWS |= {"blur_share": 0.5, "blur_sigma": [0.5, 1.5]}
LOOP = {"checkpoint": None, "epochs": 3, "batch_size": 8, "learning_rate": 0.01, "weight_decay": 0.01, "warmup_epochs": 1}
SECTIONS = {
    "encoder": ENCODER | LOOP | {"temperature": 0.2, "momentum": 0.9, "augment": VIEWS, "validate_every": 2, "validate_neighbours": 3},
    "mage": {"image_size": 8, "patch_size": 4, "width": 16, "depth": 1, "heads": 2, "decoder_width": 16, "decoder_depth": 1}
    | LOOP
    | {"decoder_heads": 2, "dropout": 0.1, "codes": 12, "code_width": 4, "vqgan_checkpoint": None, "vqgan_width": 8}
    | {"vqgan_multipliers": [1, 2], "vqgan_epochs": 2, "vqgan_learning_rate": 0.01, "vqgan_commitment": 0.25}
    | {"label_smoothing": 0.1, "drop_representation": 0.5, "mask_mean": 0.55, "mask_std": 0.25, "mask_min": 0.5},
    "classifier": {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 1, "stem_pool": False, "momentum": 0.9} | LOOP,
}


@pytest.fixture
def make_stage(tmp_path):
    draws = np.random.default_rng(0)
    reads = {f"images/{name}": tmp_path / f"images/{name}.parquet" for name in ("train", "val", "world")}
    for name, path in reads.items():
        path.parent.mkdir(exist_ok=True)
        with ImageWriter(path, {"label": pa.int64()}, {"classes": ["a", "b"]}) as writer:
            for index in range(20):
                pixels = draws.integers(0, 256, (8, 8, 3), np.uint8)
                writer.add(encode(pixels), label=-1 if name == "images/world" else index % 2)
    torch.manual_seed(0)
    MoCoEncoder(**ENCODER).eval().save_pretrained(tmp_path / "encoder")

    def make(model: str, place: str, **changes) -> Stage:
        params = Params({"common": {"seed": 0}, "pretrain": {model: SECTIONS[model] | changes}})
        inputs = reads if model == "encoder" else reads | {"models/encoder": tmp_path / "encoder"}
        return Stage("pretrain", model, params, {}, inputs, {f"models/{model}": tmp_path / place / model}, tmp_path / place / "scratch")

    return make


def contents(stage: Stage) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in stage.write().iterdir()}


@pytest.mark.parametrize(
    ("model", "where", "epoch"), [("encoder", "encoder", 3), ("mage", "mage", 2), ("mage", "tokenizer", 2), ("classifier", "classifier", 3)]
)
def test_a_killed_training_resumes_to_the_same_bytes(make_stage, monkeypatch, model, where, epoch):
    step, loop = (importlib.import_module(f"penumbra.pretrain.{name}") for name in (model, where))
    whole, resumed = make_stage(model, "whole"), make_stage(model, "killed")
    step.main(whole)
    calls = killed(monkeypatch, loop, "train_epoch", epoch, lambda: step.main(resumed))
    step.main(resumed)
    epochs = whole.params.pretrain[model]["vqgan_epochs" if where == "tokenizer" else "epochs"]
    assert len(calls) == epochs + 1  # nothing but the interrupted epoch was begun twice
    assert contents(resumed) == contents(whole)


def test_a_published_mage_is_imported_with_the_encoder_that_belongs_to_it_only(make_stage, tmp_path):
    torch.manual_seed(1)
    encoder = MoCoEncoder.from_pretrained(tmp_path / "encoder")
    mage = mage_step.build(Params(SECTIONS["mage"]), ENCODER["projection"])
    stage = make_stage("mage", "imported", checkpoint=str(tmp_path / "mage.pth"))
    for inside in (MoCoEncoder(**ENCODER), encoder):
        state = mage.state_dict() | {f"pretrained_encoder.{name}": tensor for name, tensor in inside.state_dict().items()}
        torch.save({"model": state, "model_ema": None}, tmp_path / "mage.pth")
        if inside is not encoder:
            with pytest.raises(PenumbraError, match="was trained on another encoder"):
                mage_step.main(stage)
    mage_step.main(stage)
    assert sorted(contents(stage)) == ["config.json", "model.safetensors"]
    loaded = MAGE.from_pretrained(stage.write()).state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in mage.state_dict().items())
