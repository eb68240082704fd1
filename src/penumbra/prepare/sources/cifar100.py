"""CIFAR-100 as torchvision reads it."""

from collections.abc import Iterator

from penumbra.prepare.record import Record
from penumbra.prepare.sources.cifar10 import read_cifar
from penumbra.stage import Params


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """CIFAR-100's python batches (fine labels), the folder that holds cifar-100-python."""
    return read_cifar("CIFAR100", spec, key)
