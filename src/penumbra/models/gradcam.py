"""Grad-CAM (Selvaraju et al. 2017): where in an image a classifier sees what it answers."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from penumbra.models.resnet import ResNet

RESOLUTION = 7  # pixels that a map has at least, if any layer does: those of the last layer on ImageNet


def predicted_class(logits: Tensor) -> Tensor:
    """The largest logit [B] of [B, N]: the target of the maps."""
    return logits.max(dim=1).values


def deepest_layer(classifier: ResNet, images: Tensor) -> nn.Module:
    """The last of the four layers whose output is RESOLUTION pixels wide at least; the first if none is."""
    side, chosen = images.shape[-1], classifier.layer1
    for stride in (classifier.config["stem_stride"], 2 if classifier.config["stem_pool"] else 1):
        side = -(-side // stride)
    for layer in (classifier.layer2, classifier.layer3, classifier.layer4):
        side = -(-side // 2)
        if side >= RESOLUTION:
            chosen = layer
    return chosen


def grad_cam(
    classifier: ResNet, images: Tensor, layer: nn.Module | None = None, target: Callable[[Tensor], Tensor] = predicted_class
) -> tuple[Tensor, Tensor, Tensor]:
    """Maps [B, h, w] in [0, 1] of images [B, 3, H, W] in [0, 1], and logits [B, N] and features [B, D] of the same pass.

    A map is the positive part of the layer's channels, weighted by the mean gradient of the target over each, divided by
    its largest value. It is 0 everywhere where nothing speaks for the target.

    Args:
        layer: whose output is weighted; None: `deepest_layer`.
        target: [B, N] -> [B], what the maps explain.
    """
    kept: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        # The network is frozen: a leaf here is where its graph begins.
        kept.append(output.detach().requires_grad_(True))
        return kept[0]

    handle = (layer or deepest_layer(classifier, images)).register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logits, features = classifier.forward_with_features(images)
            (gradient,) = torch.autograd.grad(target(logits).sum(), kept[0])
    finally:
        handle.remove()
    maps = (gradient.mean((2, 3), keepdim=True) * kept[0].detach()).sum(1).relu()
    largest = maps.amax((1, 2), keepdim=True)
    return maps / torch.where(largest > 0, largest, torch.ones_like(largest)), logits.detach(), features.detach()
