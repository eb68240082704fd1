"""Random shifts and mirrored copies of training images."""

import torch
from torch import Tensor


def shifted(images: Tensor, padding: int, flip: bool, draws: torch.Generator) -> Tensor:
    """Randomly shifted (over a reflected border) and flipped copies of images, in one gather.

    Args:
        images: [B, H, W, C]; repetitions are augmented each by itself.
        padding: largest shift in pixels, below H and W.
        flip: mirror every second image, on average, left to right.
        draws: CPU generator.

    Returns:
        [B, C, H, W], channels last in memory, of the type and on the device of `images`.
    """
    height, width = images.shape[1:3]
    shift = torch.randint(-padding, padding + 1, (2, len(images), 1), generator=draws)
    y, x = (_reflect(torch.arange(size) + offset, size) for size, offset in zip((height, width), shift, strict=True))
    if flip:
        mirrored = torch.rand(len(images), 1, generator=draws) < 0.5
        x = torch.where(mirrored, x.flip(1), x)
    rows, y, x = (index.to(images.device) for index in (torch.arange(len(images)), y, x))
    return images[rows[:, None, None], y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def augment(pixels: Tensor, padding: int, flip: bool, draws: torch.Generator) -> Tensor:
    """`shifted` images of uint8 pixels [B, H, W, 3]: float [B, 3, H, W] in [0, 1]."""
    return shifted(pixels, padding, flip, draws).float() / 255


def _reflect(index: Tensor, size: int) -> Tensor:
    """Indices folded back into 0..size-1 without repeating the border."""
    return size - 1 - (size - 1 - index.abs()).abs()
