"""Images in folders, one for each class."""

import os
from collections.abc import Iterator
from functools import partial

from penumbra.errors import PenumbraError
from penumbra.prepare.pixels import read_file
from penumbra.prepare.record import Record, caption_of, choose, existing, faulty
from penumbra.stage import Params


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """One sub-folder per class, images at any depth below it; names that start with a dot are skipped.

    Images directly in `path` have no class, which a test set does not need.
    """
    root = existing(spec.path, key)
    if not root.is_dir():
        raise PenumbraError(f"prepare.{key}.path: {root} is not a folder.")
    for path in sorted(root.iterdir()):
        if path.is_file() and not path.name.startswith(".") and spec.classes is None:
            yield Record(path.name, None, partial(read_file, path), path=path.name)
    names = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    for name in choose(spec.classes, names, key):
        found = False
        for path in sorted((root / name).rglob("*")):
            relative = path.relative_to(root)
            if path.is_dir() or any(part.startswith(".") for part in relative.parts):
                continue
            found = True
            text = os.fsencode(relative).decode("utf-8", "backslashreplace")
            if text != str(relative):
                yield faulty(text, text, "its name is not UTF-8")
            else:
                yield Record(text, name, partial(read_file, path), caption_of(name), path=text)
        if not found:
            yield faulty(name, name, "class folder without images")
