"""Statistics of layers: what a loop over modules and images finds, from the pass that gives the logits, and no hook is left."""

import numpy as np
import pytest
import torch

from penumbra.errors import PenumbraError
from penumbra.models.classifiers.detector import ClassifierDetector
from penumbra.models.classifiers.efficientnet_lite0 import EfficientNetLite0
from penumbra.models.classifiers.library import LibraryClassifier
from penumbra.models.layers import passed, row_sums
from penumbra.models.resnet import Detector

IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    sizes = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "stem_stride": 2, "stem_pool": False}
    return Detector(**sizes, classes=3).eval().requires_grad_(False)


def test_they_are_of_the_maps_between_the_layers(network):
    x = (IMAGES - network.mean) / network.std
    x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
    found = passed(network, IMAGES, "all", 2)
    assert sorted(found.statistics) == [f"{name}/{layer}" for name in ("gram", "means") for layer in range(4)]
    for layer, module in enumerate((network.layer1, network.layer2, network.layer3, network.layer4)):
        x = module(x)
        means, gram = found.statistics[f"means/{layer}"], found.statistics[f"gram/{layer}"]
        assert means.dtype == gram.dtype == torch.float64 and gram.shape == (3, 2, x.shape[1])
        torch.testing.assert_close(means, x.double().mean((2, 3)))
        torch.testing.assert_close(gram, row_sums(x.double(), 2))
    torch.testing.assert_close(found.features, network.avgpool(x).flatten(1))
    assert not any(module._forward_hooks for module in network.modules())


def test_row_sums_are_those_of_the_matrices():
    maps = torch.randn(2, 4, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for image, of_image in enumerate(maps.flatten(2).numpy()):
        for power in (1, 2, 3):
            sums = (of_image**power @ (of_image**power).T).sum(1)
            np.testing.assert_allclose(row_sums(maps, 3)[image, power - 1], np.sign(sums) * np.abs(sums) ** (1 / power))


def test_what_is_not_asked_for_is_not_kept_and_logits_are_the_same(network):
    plain, some = passed(network, IMAGES), passed(network, IMAGES, [1, 3])
    assert plain.statistics == {} and sorted(some.statistics) == ["means/1", "means/3"]
    for found in (plain, some):
        assert all(map(torch.equal, found[:2], network.forward_with_features(IMAGES)))


def test_a_layer_that_there_is_none_of_is_named(network):
    with pytest.raises(PenumbraError, match=r"^params\.yaml: infer\.layers: there is no layer 4\. Name some of the 4, counted from 0\.$"):
        passed(network, IMAGES, [0, 4])


def test_of_other_classifiers_they_are_of_the_layers_that_give_maps():
    detector = ClassifierDetector.of(EfficientNetLite0(3, 32)).eval()
    with torch.no_grad():
        found = passed(detector, IMAGES, "all", 0)
    assert len(found.statistics) == len(detector.map_layers) == 16 and found.statistics["means/15"].shape == (3, 320)
    alexnet = LibraryClassifier.create("torchvision/alexnet", 3, 64).eval()
    with torch.no_grad():
        assert [type(layer).__name__ for layer in alexnet.map_layers] == ["Sequential"] * 2  # of maps, and of logits
        assert list(passed(alexnet, IMAGES, "all", 1).statistics) == ["means/0", "gram/0"]
        with pytest.raises(PenumbraError, match="layer 1 gives no map, channels of height and width. Leave it out"):
            passed(alexnet, IMAGES, [0, 1])
