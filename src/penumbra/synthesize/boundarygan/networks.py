"""Generator and discriminator in the manner of DCGAN (Radford et al. 2016), for square images of a side that is a power of two."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST = 4  # side of the first feature map
LEAK = 0.2


class Generator(nn.Module):
    """z [B, Z] -> images [B, 3, S, S] in (0, 1).

    Args:
        latent: Z.
        channels: of the last feature map; each halving doubles them.
        size: S.
    """

    def __init__(self, latent: int, channels: int, size: int):
        super().__init__()
        doublings = (size // SMALLEST).bit_length() - 1
        widths = [channels * 2**place for place in range(doublings, -1, -1)]
        self.first = nn.Linear(latent, widths[0] * SMALLEST**2)
        self.norm = nn.BatchNorm2d(widths[0])
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(wide, narrow, 3, padding=1, bias=False), nn.BatchNorm2d(narrow))
            for wide, narrow in zip(widths, widths[1:], strict=False)
        )
        self.last = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(z).view(len(z), -1, SMALLEST, SMALLEST)))
        for layer in self.layers:
            x = F.relu(layer(F.interpolate(x, scale_factor=2, mode="nearest")))
        return torch.sigmoid(self.last(x))


class Discriminator(nn.Module):
    """Images [B, 3, S, S] in [0, 1] -> log-odds of being real [B]; arguments as of the generator."""

    def __init__(self, channels: int, size: int):
        super().__init__()
        halvings = (size // SMALLEST).bit_length() - 1
        widths = [3, *(channels * 2**place for place in range(halvings))]
        pairs = zip(widths, widths[1:], strict=False)
        self.layers = nn.ModuleList(nn.Conv2d(narrow, wide, 4, stride=2, padding=1) for narrow, wide in pairs)
        self.last = nn.Linear(widths[-1] * SMALLEST**2, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = 2 * images - 1
        for layer in self.layers:
            x = F.leaky_relu(layer(x), LEAK)
        return self.last(x.flatten(1))[:, 0]
