"""Judges that are asked a batch at a time say what they say of all at once."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from penumbra.artifacts.images import ImageWriter, encode
from penumbra.errors import PenumbraError
from penumbra.filter.judging import judged
from penumbra.models.inference import Judge
from penumbra.models.resnet import Detector

SIZES = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False, "classes": 3, "phi_hidden": 4}


@pytest.fixture(scope="module")
def detectors(tmp_path_factory):
    root = tmp_path_factory.mktemp("judging") / "badood-all"
    for seed in (0, 1):
        torch.manual_seed(seed)
        Detector(**SIZES).save_pretrained(root / f"seed-{seed}")
    return root


def write(path, count):
    rng = np.random.default_rng(0)
    with ImageWriter(path, {"sample_id": pa.string()}, {}) as writer:
        for i in range(count):
            writer.add(encode(rng.integers(0, 1 + i % 256, (16, 16, 3)).astype(np.uint8)), sample_id=f"m/{i}")
    return path


@pytest.mark.parametrize("score", ["energy", "phi"])
@pytest.mark.parametrize(("count", "batch"), [(1, 512), (511, 512), (513, 512), (1100, 512), (1100, 7)])
def test_batches_give_the_bits_of_all_at_once(tmp_path, monkeypatch, detectors, score, count, batch):
    monkeypatch.setenv("PENUMBRA_INFERENCE_BATCH", str(batch))
    path, judge = write(tmp_path / "m.parquet", count), Judge(detectors, "mean", torch.device("cpu"))
    odds, classes = judged(judge, path, score)
    expected = judge.judged(path, score)
    assert odds.shape == (count, 2) and odds.tobytes() == expected[0].numpy().tobytes()
    assert (classes == expected[1].numpy()).all() and (count == 1 or len(set(classes)) > 1)


def test_an_output_that_is_not_finite_names_its_image(tmp_path, monkeypatch, detectors):
    monkeypatch.setenv("PENUMBRA_INFERENCE_BATCH", "4")
    path, judge = write(tmp_path / "m.parquet", 10), Judge(detectors, "mean", torch.device("cpu"))
    forward = judge.detectors[1].detector.forward_with_features
    calls = []

    def broken(images):
        calls.append(len(images))
        logits, features = forward(images)
        if len(calls) == 2:
            features[1, 0] = float("inf")
        return logits, features

    monkeypatch.setattr(judge.detectors[1].detector, "forward_with_features", broken)
    with pytest.raises(PenumbraError, match="detector badood-all/seed-1: output for image m/5 is NaN or infinite"):
        judged(judge, path, "energy")


def test_a_file_without_images_is_refused(tmp_path, detectors):
    path = write(tmp_path / "m.parquet", 0)
    with pytest.raises(PenumbraError, match="m.parquet: holds no image"):
        judged(Judge(detectors, "mean", torch.device("cpu")), path, "energy")
