"""ResNet is torchvision's where it has torchvision's sizes, and a small network elsewhere; the detector adds phi."""

import os
import subprocess
import sys

import pytest
import torch

from penumbra.errors import PenumbraError
from penumbra.logits import energy
from penumbra.models.imagenet import MEAN, STD
from penumbra.models.inference import Inference
from penumbra.models.resnet import Detector, Phi, ResNet
from penumbra.models.vision import resnet

IMAGENET_STEM = {"width": 64, "stem_kernel": 7, "stem_stride": 2, "stem_pool": True}
SMALL = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False, "classes": 6}


@pytest.mark.parametrize("architecture", ["resnet18", "resnet34", "resnet50", "resnet101"])
def test_with_the_imagenet_stem_it_is_torchvisions_network(architecture):
    with torch.device("meta"):
        theirs = getattr(resnet, architecture)(num_classes=100).state_dict()
        ours = ResNet(architecture, **IMAGENET_STEM, classes=100).state_dict()
    assert {name: tensor.shape for name, tensor in ours.items()} == {name: tensor.shape for name, tensor in theirs.items()}


def test_weights_of_torchvision_give_torchvisions_logits():
    torch.manual_seed(0)
    theirs = resnet.resnet18(num_classes=10).eval()
    ours = ResNet("resnet18", **IMAGENET_STEM, classes=10).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.rand(2, 3, 64, 64)
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    torch.testing.assert_close(ours(images), theirs((images - mean) / std))


def test_initial_weights_are_torchvisions():
    torch.manual_seed(0)
    theirs = resnet.resnet18(num_classes=10).state_dict()
    torch.manual_seed(0)
    ours = ResNet("resnet18", **IMAGENET_STEM, classes=10).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize(("architecture", "features"), [("resnet18", 64), ("resnet34", 64), ("resnet101", 256)])
def test_small_networks_take_small_images(architecture, features):
    network = ResNet(**SMALL | {"architecture": architecture}).eval()
    logits, pooled = network.forward_with_features(torch.rand(2, 3, 17, 17))
    assert logits.shape == (2, 6) and pooled.shape == (2, features)
    torch.testing.assert_close(network.fc(pooled), logits)


TRAINING = """
import torch
from penumbra.models.resnet import ResNet
network = ResNet("resnet18", {width}, {kernel}, 2, False, 6)
for _ in range(4):
    images = torch.rand(2, 3, 16, 16).contiguous(memory_format=torch.{layout})
    network(images.requires_grad_()).sum().backward()
"""
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


@pytest.mark.parametrize("layout", ["contiguous_format", "channels_last"])
@pytest.mark.parametrize(("width", "kernel"), [(4, 3), (8, 1)])  # 4 channels into a shortcut, 3 into a stem of 1 x 1
def test_the_backward_pass_of_a_narrow_network_stays_within_its_memory(width, kernel, layout):
    program = TRAINING.format(width=width, kernel=kernel, layout=layout)
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | AVX2, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]


def test_images_lie_channels_last_in_all_but_narrow_networks():
    assert ResNet(**SMALL).layout == torch.channels_last
    assert ResNet(**SMALL | {"width": 7}).layout == torch.contiguous_format
    assert ResNet(**SMALL | {"stem_kernel": 1}).layout == torch.contiguous_format
    assert ResNet(**SMALL | {"stem_kernel": 1, "stem_stride": 1}).layout == torch.channels_last


def test_an_unknown_architecture_is_named():
    with pytest.raises(PenumbraError, match="'resnet152' is unknown. Use one of resnet18, resnet34, resnet50, resnet101"):
        ResNet(**SMALL | {"architecture": "resnet152"})


def test_energy_is_the_negative_log_sum_of_exponentials_without_overflow():
    logits = torch.tensor([[1.0, 2.0, -1.0], [500.0, 0.0, 0.0], [-500.0, -500.0, -500.0]])
    expected = -torch.log(torch.exp(logits.double()).sum(1))
    expected[2] = 500 - torch.log(torch.tensor(3.0, dtype=torch.float64))
    torch.testing.assert_close(energy(logits).double(), expected)


@pytest.mark.parametrize("seed", range(5))
def test_phi_is_an_increasing_function_of_the_energy_whatever_its_weights(seed):
    torch.manual_seed(seed)
    phi = Phi(16)
    for parameter in phi.parameters():
        torch.nn.init.normal_(parameter, std=3)
    assert (phi(torch.linspace(-30, 10, 50)).diff() > 0).all()


def test_free_signs_make_the_two_logit_head_of_the_official_code():
    """Linear, ReLU, Linear to two logits, whose softmax is the sigmoid of their difference; it may fall with the energy."""
    torch.manual_seed(0)
    first, last = torch.nn.Linear(1, 7), torch.nn.Linear(7, 2)
    phi, energies = Phi(7, monotone=False), torch.linspace(-30, 10, 50)
    phi.fc1.load_state_dict(first.state_dict())
    with torch.no_grad():
        phi.fc2.weight.copy_(last.weight[:1] - last.weight[1:])
        phi.fc2.bias.copy_(last.bias[:1] - last.bias[1:])
    expected = torch.softmax(last(torch.relu(first(energies[:, None]))), 1)[:, 0]
    torch.testing.assert_close(torch.sigmoid(phi(energies)), expected)
    slopes = [Phi(7, monotone=False)(energies).diff().sign().unique() for _ in range(20)]
    assert any((slope < 0).any() for slope in slopes)


@pytest.mark.parametrize("monotone", [True, False])
def test_a_saved_detector_comes_back_with_its_head(tmp_path, monotone):
    torch.manual_seed(0)
    detector = Detector(**SMALL, phi_hidden=5, phi_monotone=monotone).eval()
    detector.save_pretrained(tmp_path / "detector")
    again = Detector.from_pretrained(tmp_path / "detector")
    images = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(again.phi(energy(again(images))), detector.phi(energy(detector(images))), rtol=0, atol=0)
    with pytest.raises(PenumbraError, match="holds a Detector, not a ResNet"):
        ResNet.from_pretrained(tmp_path / "detector")


def test_a_detector_without_head_comes_back_and_has_no_log_odds_of_it(tmp_path):
    Detector(**SMALL).save_pretrained(tmp_path / "sona-all/seed-0")
    detector = Inference(tmp_path / "sona-all/seed-0", torch.device("cpu"))
    logits = torch.randn(3, 6)
    torch.testing.assert_close(detector.log_odds(logits, "energy"), energy(logits))
    with pytest.raises(PenumbraError, match="detector sona-all/seed-0: was trained without the head phi. .*score to energy"):
        detector.log_odds(logits, "phi")
