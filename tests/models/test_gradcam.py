"""Grad-CAM against its formula on a network small enough to differentiate by hand."""

import pytest
import torch
from torch import nn

from penumbra.logits import energy
from penumbra.models.gradcam import deepest_layer, grad_cam
from penumbra.models.resnet import ResNet

ARCHITECTURE = {"architecture": "resnet18", "width": 8, "stem_kernel": 3, "classes": 3}


def make(stride=1, pool=False):
    torch.manual_seed(0)
    return ResNet(**ARCHITECTURE, stem_stride=stride, stem_pool=pool).eval().requires_grad_(False)


def test_map_of_the_last_layer_weights_its_channels_by_the_row_of_the_class():
    """Behind the last layer there are only the mean and the linear layer, so the gradient is w / pixels everywhere."""
    network, images = make(), torch.rand(4, 3, 32, 32)
    kept = []
    handle = network.layer4.register_forward_hook(lambda module, inputs, output: kept.append(output))
    maps, logits, features = grad_cam(network, images, network.layer4)
    handle.remove()
    torch.testing.assert_close((logits, features), network.forward_with_features(images))
    for row in range(4):
        weights = network.fc.weight[logits[row].argmax()]
        expected = torch.einsum("c,chw->hw", weights, kept[0][row]).relu()
        torch.testing.assert_close(maps[row], expected / expected.max().clamp(min=1e-12))


@pytest.mark.parametrize(
    ("stride", "pool", "size", "side"), [(1, False, 32, 8), (2, False, 32, 8), (2, True, 224, 7), (1, False, 16, 8), (2, True, 16, 4)]
)
def test_the_deepest_layer_of_a_useful_resolution_is_taken(stride, pool, size, side):
    network, images = make(stride, pool), torch.rand(1, 3, size, size)
    assert grad_cam(network, images)[0].shape == (1, side, side)
    outputs = {}

    def note(module, inputs, output):
        outputs[module] = output.shape[-1]

    for name in ("layer1", "layer2", "layer3", "layer4"):
        getattr(network, name).register_forward_hook(note)
    network(images)
    useful = [module for module, width in outputs.items() if width >= 7]
    assert deepest_layer(network, images) is (useful[-1] if useful else network.layer1)


def test_maps_lie_between_zero_and_one_and_the_network_is_left_as_it_was():
    network, images = make(), torch.rand(3, 3, 32, 32)
    maps = grad_cam(network, images)[0]
    assert maps.min() >= 0 and maps.amax((1, 2)).tolist() == [1, 1, 1]
    assert not any(module._forward_hooks for module in network.modules())
    assert not network(images).requires_grad


def test_where_nothing_speaks_for_the_target_the_map_is_zero():
    network = make()
    nn.init.zeros_(network.fc.weight)
    assert grad_cam(network, torch.rand(1, 3, 32, 32))[0].abs().max() == 0


def test_any_target_can_be_explained():
    network, images = make(), torch.rand(2, 3, 32, 32)
    of_class, of_energy = grad_cam(network, images)[0], grad_cam(network, images, target=energy)[0]
    assert (of_class - of_energy).abs().max() > 0.1
