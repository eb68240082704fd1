"""All sources by name. A new one is a function of (spec, key, seed) that yields records, and its line in this table."""

from collections.abc import Callable, Iterator

from penumbra.errors import PenumbraError
from penumbra.prepare.digits import digits
from penumbra.prepare.disk import cifar10, cifar100, folder, imglist
from penumbra.prepare.glyphs import glyphs
from penumbra.prepare.record import Record
from penumbra.prepare.rendered import noise, photos, textures
from penumbra.stage import Params

SOURCES: dict[str, Callable[[Params, str, int], Iterator[Record]]] = {
    "digits": digits,
    "folder": folder,
    "imglist": imglist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "glyphs": glyphs,
    "photos": photos,
    "textures": textures,
    "noise": noise,
}


def read_source(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """The records of a source, in an order of its own that never changes.

    Args:
        spec: a section of params.yaml: source, path, root, classes and, but for ID, limit.
        key: the section's name below prepare ("near.digits-6-9"), for messages and seeds.

    Raises:
        PenumbraError: unknown source, missing path, unknown class.
    """
    if spec.source not in SOURCES:
        raise PenumbraError(f"prepare.{key}.source: {spec.source!r} is unknown. Choose from {', '.join(SOURCES)}.")
    return SOURCES[spec.source](spec, key, seed)
