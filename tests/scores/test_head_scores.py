"""Scores of a head that a loss keeps beside a network: of what one pass gives, against the papers' formulas image by image."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.special import softmax

from penumbra.artifacts.images import ImageWriter, encode, read_pixels
from penumbra.models.heads import DecomposedConfidence, SecondHead
from penumbra.models.inference import Inference
from penumbra.models.resnet import Detector
from penumbra.score.params import Score as Parameters
from penumbra.scores import scores_of

CLASSES, COUNT = 3, 7
SIZES = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False, "classes": CLASSES}
MORE = {"mcd": {"score": "mcd"}, "h": {"score": "deconf", "by": "h"}, "g": {"score": "deconf", "by": "g"}}
SECTION = Parameters(knn_k=1, knn_more=[], calibrator="platt", more=MORE)


@pytest.fixture
def saved(tmp_path):
    """The folder of a network, and a file of images."""
    torch.manual_seed(0)
    Detector(**SIZES).save_pretrained(tmp_path / "seed-0")
    rng = np.random.default_rng(0)
    with ImageWriter(tmp_path / "test.parquet", {"sample_id": pa.string()}, {}) as writer:
        for i in range(COUNT):
            writer.add(encode(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)), sample_id=f"test/{i}")
    return tmp_path


def features_of(saved):
    """Logits and features of each image, by the network alone."""
    network = Detector.from_pretrained(saved / "seed-0")
    pixels = torch.from_numpy(read_pixels(saved / "test.parquet")).permute(0, 3, 1, 2).float() / 255
    return [[each[0] for each in network.forward_with_features(image[None])] for image in pixels]


def kept(saved):
    return Inference(saved / "seed-0", torch.device("cpu")).kept(saved / "test.parquet")


def test_without_a_head_nothing_is_kept_beside_and_no_score_is_there(saved):
    outputs = kept(saved)
    assert outputs.beside == {} and not set(MORE) & set(scores_of(SECTION, "network", outputs.kept))


def test_mcd(saved):
    SecondHead(64, CLASSES).save_pretrained(saved / "seed-0/mcd")
    head, outputs = SecondHead.from_pretrained(saved / "seed-0/mcd"), kept(saved)
    expected = [np.abs(softmax(logits.numpy()) - softmax(head(features).numpy())).sum() for logits, features in features_of(saved)]
    scores = scores_of(SECTION, "network", outputs.kept)
    assert set(MORE) & set(scores) == {"mcd"}
    np.testing.assert_allclose(scores["mcd"](outputs), expected, rtol=1e-4)


def test_the_decomposed_confidence(saved):
    confidence = DecomposedConfidence(64, CLASSES, "cosine")
    confidence.domain[1].running_var.fill_(0.1)
    confidence.save_pretrained(saved / "seed-0/godin")
    head, outputs = DecomposedConfidence.from_pretrained(saved / "seed-0/godin"), kept(saved)
    scores = scores_of(SECTION, "network", outputs.kept)
    assert set(MORE) & set(scores) == {"h", "g"}
    features = [features[None] for _, features in features_of(saved)]
    np.testing.assert_allclose(scores["h"](outputs), [-head.h(each)[0].max() for each in features], rtol=1e-4)
    np.testing.assert_allclose(scores["g"](outputs), [-head.g(each)[0] for each in features], rtol=1e-4)
