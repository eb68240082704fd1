"""Pictures that somebody holds in any form, and the pixels that prepare makes of them."""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from penumbra.prepare.ingest import ordered_map
from penumbra.prepare.pixels import load_pixels, read_file
from penumbra.prepare.record import Record, Unusable

FORMS = "a path, a PIL image, a uint8 array [H, W, 3] or [H, W], or a float tensor [3, H, W]"


def each(images: Any) -> Iterable:
    """Several images as they are, and one image as a list of it. An array or a tensor of four dimensions is several."""
    single = isinstance(images, str | os.PathLike | Image.Image)
    single |= isinstance(images, np.ndarray | Tensor) and images.ndim in (2, 3)
    return [images] if single else images


def prepared(images: Iterable, size: int) -> Iterator[tuple[str, np.ndarray | Unusable]]:
    """The name of each image, and its uint8 pixels [size, size, 3] exactly as prepare makes them, or why there are none.

    Files are read on threads, some at a time. An image is named by its path, or without one by its number from 0.
    """

    def load(record: Record) -> tuple[str, np.ndarray | Unusable]:
        return record.source_id, load_pixels(record, size)

    return ordered_map(load, (Record(_name(index, image), None, partial(_opened, image)) for index, image in enumerate(images)))


def shown(path: str | os.PathLike) -> str:
    """A path as text that can be printed and written, whatever bytes it is made of."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _name(index: int, image: Any) -> str:
    return shown(image) if isinstance(image, str | os.PathLike) else str(index)


def _opened(image: Any) -> Image.Image:
    """A PIL image of our own, which may be closed.

    Raises:
        Unusable: it is nothing that an image can be.
    """
    if isinstance(image, str | os.PathLike):
        return read_file(Path(image))
    if isinstance(image, Image.Image):
        return image.copy()
    if isinstance(image, Tensor):
        return Image.fromarray(_of_tensor(image))
    if not isinstance(image, np.ndarray):
        raise Unusable(f"is a {type(image).__name__}. Give {FORMS}")
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise Unusable(f"is an array of {image.dtype} {list(image.shape)}. Give uint8 [H, W, 3] or [H, W]")
    return Image.fromarray(image)


def _of_tensor(image: Tensor) -> np.ndarray:
    """uint8 pixels [H, W, 3] of a float tensor [3, H, W] in [0, 1], rounded."""
    if not image.is_floating_point() or image.ndim != 3 or len(image) != 3:
        kind = str(image.dtype).removeprefix("torch.")
        raise Unusable(f"is a tensor of {kind} {list(image.shape)}. Give floating-point [3, H, W] in [0, 1]")
    values = image.detach().cpu().double()
    if not bool(((values >= 0) & (values <= 1)).all()):  # NaN is neither
        raise Unusable("holds values outside [0, 1], or NaN. Scale them")
    return (values * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
