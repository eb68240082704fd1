"""A detector on an encoder's representation: what it says of images is the head's answer to the encoder's; saved whole, with gradients."""

import pytest
import torch

from penumbra.errors import PenumbraError
from penumbra.models.classifiers.detector import load_detector
from penumbra.models.classifiers.representation import Perceptron, RepresentationDetector
from penumbra.models.moco import MoCoEncoder
from penumbra.models.resnet import Detector


def encoder() -> MoCoEncoder:
    torch.manual_seed(3)
    return MoCoEncoder(image_size=8, patch_size=4, width=16, depth=2, heads=2, projection_hidden=12, projection=6).eval()


def made(depth: int = 2) -> RepresentationDetector:
    moco = encoder()
    return RepresentationDetector.of(moco, Perceptron(6, 10, depth, 3, phi_hidden=4, phi_monotone=True)).eval().requires_grad_(False)


@pytest.mark.parametrize("side", [8, 13])
def test_of_images_it_says_what_its_head_says_of_their_representations(side):
    detector, images = made(), torch.rand(5, 3, side, side)
    logits, features = detector.forward_with_features(images)
    wanted = detector.head(encoder().represent(images))
    assert torch.equal(logits, wanted[0]) and torch.equal(features, wanted[1]) and torch.equal(detector(images), logits)
    torch.testing.assert_close(detector.last_layer(features), logits)


@pytest.mark.parametrize("depth", [1, 3])
def test_its_head_is_hidden_layers_with_relu_written_out(depth):
    head = made(depth).head
    rows = representations = torch.randn(4, 6)
    linear = [module for module in head.hidden if isinstance(module, torch.nn.Linear)]
    assert len(linear) == depth
    for layer in linear:
        rows = (rows @ layer.weight.T + layer.bias).clamp(min=0)
    logits, features = head(representations)
    torch.testing.assert_close(features, rows)
    torch.testing.assert_close(logits, rows @ head.fc.weight.T + head.fc.bias)
    assert features.shape == (4, 10) and logits.shape == (4, 3)


def test_saved_it_comes_back_as_what_it_is_and_needs_nothing_else(tmp_path):
    detector, images = made(), torch.rand(2, 3, 8, 8)
    detector.save_pretrained(tmp_path / "seed-0", {"stage": "train@badood-latent"})
    again = load_detector(tmp_path / "seed-0")
    assert type(again) is RepresentationDetector and not again.training and not any(each.requires_grad for each in again.parameters())
    assert torch.equal(again(images), detector(images)) and torch.equal(again.phi(torch.ones(2)), detector.phi(torch.ones(2)))
    with pytest.raises(PenumbraError, match="holds a RepresentationDetector, not a Detector"):
        Detector.from_pretrained(tmp_path / "seed-0")


def test_gradients_reach_the_images_though_nothing_of_it_learns():
    detector, images = made(), torch.rand(2, 3, 8, 8, dtype=torch.float64)
    detector.double()
    assert torch.autograd.gradcheck(lambda x: detector(x).sum(), images.requires_grad_())
    assert torch.autograd.grad(detector(images).sum(), images)[0].abs().sum() > 0
