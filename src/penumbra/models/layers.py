"""Statistics of the maps that a network's layers give, from the pass that gives its logits: what scores of several layers need.

They are float64, as the scores compute. A layer of C channels leaves 8 C bytes of an image, and 8 C more for each power of its Gram
matrix: the four layers of a ResNet-18 of width 16 (240 channels) leave 1.9 KB, with ten powers 21 KB; those of ImageNet's ResNet-50
(3,840 channels) 31 KB and 338 KB, which are 39 GB and 433 GB for the 1.28 million training images of ImageNet-1k. Scores read them as a
whole: at such a size name fewer layers and powers.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from penumbra.errors import PenumbraError
from penumbra.models.classifier import Classifier

Layers = Sequence[int] | Literal["all"]  # indices of `Classifier.map_layers`


class Passed(NamedTuple):
    """Of B images: logits [B, N], features [B, D] and, by name, means/L [B, C_L] and gram/L [B, P, C_L] of each layer L."""

    logits: Tensor
    features: Tensor
    statistics: dict[str, Tensor]


def passed(network: Classifier, images: Tensor, layers: Layers = (), powers: int = 0) -> Passed:
    """What one pass of images [B, 3, H, W] in [0, 1] gives.

    Args:
        layers: whose statistics are wanted; all: those whose outputs are maps [B, C, h, w].
        powers: P of `row_sums`; 0: channel means alone.

    Raises:
        PenumbraError: the network has no such layer, or it gives no map.
    """
    every, found = list(network.map_layers) if layers else [], {}
    chosen = range(len(every)) if layers == "all" else layers
    if unknown := [index for index in chosen if index >= len(every)]:
        raise PenumbraError(f"params.yaml: infer.layers: there is no layer {unknown[0]}. Name some of the {len(every)}, counted from 0.")
    hooks = [every[index].register_forward_hook(partial(_see, found, index, powers)) for index in chosen]
    try:
        logits, features = network.forward_with_features(images)
    finally:
        for hook in hooks:
            hook.remove()
    flat = [index for index in chosen if f"means/{index}" not in found]
    if flat and (layers != "all" or len(flat) == len(every)):
        raise PenumbraError(f"params.yaml: infer.layers: layer {flat[0]} gives no map, channels of height and width. Leave it out.")
    return Passed(logits, features, found)


def _see(found: dict[str, Tensor], index: int, powers: int, _module: nn.Module, _given: tuple, output: object) -> None:
    """Take the statistics at once: a later layer may write into the map."""
    if isinstance(output, Tensor) and output.ndim == 4:
        maps = output.double()
        found[f"means/{index}"] = maps.mean((2, 3))
        if powers:
            found[f"gram/{index}"] = row_sums(maps, powers)


def row_sums(maps: Tensor, powers: int) -> Tensor:
    """Row sums [B, P, C] of (F^p F^pT)^(1/p), p = 1..P, F [C, hw] one of the maps [B, C, h, w] (Sastry and Oore 2020).

    The root is that of each sum, with its sign, as in the official code; the matrices are not made.
    """
    matrices, sums = maps.flatten(2), []
    for power in range(1, powers + 1):
        raised = matrices**power
        row = (raised * raised.sum(1, keepdim=True)).sum(2)
        sums.append(row.sign() * row.abs() ** (1 / power))
    return torch.stack(sums, 1)
