"""CIFAR-10 as torchvision reads it."""

from collections.abc import Iterator
from functools import partial

from PIL import Image

from penumbra.errors import PenumbraError
from penumbra.prepare.record import Record, caption_of, choose, existing
from penumbra.stage import Params


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """CIFAR-10's python batches, the folder that holds cifar-10-batches-py."""
    return read_cifar("CIFAR10", spec, key)


def read_cifar(name: str, spec: Params, key: str) -> Iterator[Record]:
    from penumbra.models.vision import datasets  # takes seconds, and only CIFAR needs it

    root = existing(spec.path, key)
    for official in ("train", "test"):
        try:
            # torchvision compares every batch with its published MD5 before it unpickles any of them
            data = getattr(datasets, name)(root, train=official == "train", download=False)
        except RuntimeError as error:
            raise PenumbraError(f"prepare.{key}.path: {root} holds no intact python version of {name} ({error}).") from error
        wanted = set(choose(spec.classes, data.classes, key))
        for index, (pixels, target) in enumerate(zip(data.data, data.targets, strict=True)):
            class_name = data.classes[target]
            if class_name in wanted:
                yield Record(f"{official}/{index:05d}", class_name, partial(Image.fromarray, pixels), caption_of(class_name), official)
