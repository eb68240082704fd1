"""Grad-CAM (Selvaraju et al. 2017): where in an image a classifier sees what it answers."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from penumbra.errors import PenumbraError
from penumbra.models.classifier import Classifier

RESOLUTION = 7  # pixels that a map has at least, if any layer does: those of the last layer on ImageNet


def predicted_class(logits: Tensor) -> Tensor:
    """The largest logit [B] of [B, N]: the target of the maps."""
    return logits.max(dim=1).values


@torch.no_grad()
def deepest_layer(classifier: Classifier, images: Tensor) -> nn.Module:
    """The last layer to run whose map is RESOLUTION pixels wide at least; the first layer with a map if none is.

    Raises:
        PenumbraError: no layer of the classifier makes square maps of square images.
    """
    sides: dict[nn.Module, int] = {}

    def note(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] == output.shape[-2]:
            sides[module] = output.shape[-1]

    handles = [layer.register_forward_hook(note) for layer in classifier.map_layers]
    try:
        classifier(images[:1])
    finally:
        for handle in handles:
            handle.remove()
    if not sides:
        raise PenumbraError(f"{type(classifier).__name__}: has no layer with maps for Grad-CAM. Use a convolutional classifier.")
    return next((layer for layer in reversed(sides) if sides[layer] >= RESOLUTION), next(iter(sides)))


def grad_cam(
    classifier: Classifier, images: Tensor, layer: nn.Module | None = None, target: Callable[[Tensor], Tensor] = predicted_class
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
        # The network is frozen: a leaf here is where its graph begins. What follows may change its input in place, a leaf must not be.
        kept.append(output.detach().requires_grad_(True))
        return kept[0].clone()

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
