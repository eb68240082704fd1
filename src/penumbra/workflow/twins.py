"""One picture under two classes: equal files that a source gives different labels. What they show is for a person to decide.

`prepare` sets a picture aside that is in another split already; within a split it keeps both, and a network learns both labels.
"""

import os
from collections import defaultdict
from typing import TYPE_CHECKING

from penumbra.artifacts.files import hash_of

if TYPE_CHECKING:
    from penumbra.prepare.params import ImageSource

LISTS = ("folder", "imglist")  # sources that have a file for each image


def twins(spec: "ImageSource", key: str = "id") -> list[tuple[str, str]]:
    """Pairs of files below the root of a source with equal bytes and different classes; each after the first of its content.

    Only files of equal size are read. A picture that was saved again has other bytes, and is not found.

    Args:
        spec: the section prepare.id, or that of its test images.
        key: below prepare, for messages.

    Raises:
        PenumbraError: the source cannot be read.
    """
    from penumbra.prepare.record import read_source

    if spec.source not in LISTS:
        return []
    root = spec.path if spec.source == "folder" else spec.root or os.path.dirname(spec.path)
    sizes: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for record in read_source(spec, key, 0):
        path = os.path.join(root, record.path or "")
        if not record.fault and record.class_name is not None and os.path.isfile(path):
            sizes[os.path.getsize(path)].append((record.path, record.class_name))
    found = []
    for size, files in sizes.items():
        if size and len({of_class for _, of_class in files}) > 1:
            first: dict[str, tuple[str, str]] = {}
            for name, of_class in files:
                other, its = first.setdefault(hash_of(os.path.join(root, name), "blake2b"), (name, of_class))
                found += [(other, name)] if its != of_class else []
    return sorted(found)


def told(pairs: list[tuple[str, str]]) -> str:
    """The pairs in words; there is one at least."""
    more = f" (1 of {len(pairs)} such pairs)" if len(pairs) > 1 else ""
    return f"{pairs[0][0]} and {pairs[0][1]} are one picture under two classes{more}. Leave out what it does not show: networks learn both."
