"""What the rest of Penumbra asks of a classifier, whoever made it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penumbra.artifacts.networks import Saved


class Classifier(Saved):
    """Mix-in for an nn.Module that tells classes apart; saved as a directory of config.json and model.safetensors.

    `config["classes"]` is the number of classes N. A network calls `see` when it is made.

    Attributes:
        mean, std: buffers [3, 1, 1], of pixels in [0, 1]: what enters the network is (images - mean) / std.
        input_size: pixels of the square that images are resized to; None: they enter as they are.
    """

    input_size: int | None

    def see(self: nn.Module, mean: Sequence[float], std: Sequence[float], input_size: int | None = None) -> None:
        """How images enter; see the attributes."""
        self.input_size = input_size
        for name, values in {"mean": mean, "std": std}.items():
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    @property
    def architecture(self) -> str:
        """What params.yaml calls it."""
        return self.config["architecture"]

    @property
    def last_layer(self) -> nn.Linear:
        """From features [B, D] to logits [B, N]."""
        raise NotImplementedError

    @property
    def map_layers(self) -> Sequence[nn.Module]:
        """Modules whose outputs may be maps [B, C, h, w] of where in an image something is: what Grad-CAM weighs."""
        raise NotImplementedError

    @property
    def published(self) -> nn.Module:
        """The module whose state dict is that of published weights."""
        return self

    def forward_normalised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, N] and features [B, D] before the last layer of what enters the network [B, 3, H, W], whatever its range."""
        raise NotImplementedError

    def forward_with_features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, N] and features [B, D] before the last layer of images [B, 3, H, W] in [0, 1], in one pass."""
        if self.input_size and images.shape[-2:] != (self.input_size, self.input_size):
            images = F.interpolate(images, (self.input_size, self.input_size), mode="bilinear", align_corners=False, antialias=True)
        return self.forward_normalised((images - self.mean) / self.std)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, N] of images [B, 3, H, W] in [0, 1]."""
        return self.forward_with_features(images)[0]
