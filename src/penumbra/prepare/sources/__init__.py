"""Where images come from: one file a source, named as `source:` in params.yaml, with a function `read`."""

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from penumbra.values import modules

if TYPE_CHECKING:
    from penumbra.prepare.record import Record
    from penumbra.stage import Params

NAMES = modules(__path__)


def read_source(spec: "Params", key: str, seed: int) -> "Iterator[Record]":
    """The records of a source, in an order of its own that never changes.

    Args:
        spec: a section of params.yaml: source, path, root, classes and, but for ID, limit.
        key: the section's name below prepare ("near.digits-6-9"), for messages and seeds.

    Raises:
        PenumbraError: missing path, unknown class.
    """
    return import_module(f"penumbra.prepare.sources.{spec.source}").read(spec, key, seed)
