"""pretrain@classifier of other architectures: trained from scratch, and imported from the files that libraries publish."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import save_file

from penumbra.artifacts.images import ImageWriter, encode
from penumbra.errors import PenumbraError
from penumbra.models.classifiers.load import load
from penumbra.models.vision import models
from penumbra.pretrain.classifier import main
from penumbra.pretrain.params import OtherClassifier
from penumbra.stage import Params, Stage

SECTION = {
    "checkpoint": None, "architecture": "torchvision/mobilenet_v3_small", "input_size": 32, "epochs": 2, "batch_size": 8,
    "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.0, "warmup_epochs": 0,
}  # fmt: skip


@pytest.fixture
def make_stage(tmp_path):
    """Dark images of one class, bright ones of the other."""
    draws, reads = np.random.default_rng(0), {}
    for name in ("train", "val"):
        path = reads[f"images/{name}"] = tmp_path / f"{name}.parquet"
        with ImageWriter(path, {"label": pa.int64()}, {"classes": ["dark", "bright"]}) as writer:
            for index in range(16):
                writer.add(
                    encode(draws.integers(128 * (index % 2), 128 * (index % 2) + 128, (16, 16, 3)).astype(np.uint8)), label=index % 2
                )

    def make(place="one", **changes):
        params = Params({"common": {"seed": 0}, "pretrain": {"classifier": OtherClassifier(**SECTION | changes)}})
        return Stage("pretrain", "classifier", params, {}, reads, {"models/classifier": tmp_path / place}, tmp_path / "scratch")

    return make


@pytest.mark.parametrize("architecture", ["torchvision/mobilenet_v3_small", "efficientnet-lite0"])
def test_it_is_trained_on_the_images_of_the_experiment(make_stage, architecture):
    stage, again = (make_stage(place, architecture=architecture) for place in ("one", "again"))
    main(stage)
    assert {file.name for file in stage.write().iterdir()} == {"config.json", "history.csv", "model.safetensors"}
    assert load(stage.write()).config["classes"] == 2
    main(again)
    assert (again.write() / "model.safetensors").read_bytes() == (stage.write() / "model.safetensors").read_bytes()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_published_file_is_imported_as_it_is(make_stage, tmp_path, suffix):
    torch.manual_seed(1)
    theirs, path = models.get_model("mobilenet_v3_small", weights=None, num_classes=2).eval(), tmp_path / f"weights.{suffix}"
    torch.save(theirs.state_dict(), path) if suffix == "pth" else save_file(theirs.state_dict(), path)
    stage = make_stage(checkpoint=str(path))
    main(stage)
    classifier, images = load(stage.write()), torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(classifier(images), theirs((images - classifier.mean) / classifier.std))
    assert not (stage.write() / "history.csv").exists()


def test_weights_of_other_classes_are_refused(make_stage, tmp_path):
    torch.save(models.get_model("mobilenet_v3_small", weights=None, num_classes=3).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(PenumbraError, match=r"does not fit MobileNetV3; tensors .* of another size: classifier.3.weight"):
        main(make_stage(checkpoint=str(tmp_path / "weights.pth")))


def test_a_damaged_safetensors_file_is_an_error(make_stage, tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"no tensors")
    with pytest.raises(PenumbraError, match="weights.safetensors"):
        main(make_stage(checkpoint=str(tmp_path / "weights.safetensors")))
