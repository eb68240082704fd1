"""Images of files as a tensor."""

import os

import torch
from torch import Tensor

from penumbra.artifacts.images import read_pixels


def read_images(*paths: str | os.PathLike) -> Tensor:
    """uint8 [N, 3, S, S] of the N images of some files, of which some may be empty, as a world is."""
    pixels = [torch.from_numpy(read_pixels(path)).permute(0, 3, 1, 2) for path in paths]
    return torch.cat([of_file for of_file in pixels if len(of_file)])
