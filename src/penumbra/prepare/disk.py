"""Images on disk: class folders, OpenOOD image lists, CIFAR as torchvision reads it."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from PIL import Image

from penumbra.errors import PenumbraError
from penumbra.prepare.pixels import read_file
from penumbra.prepare.record import Record, choose, faulty
from penumbra.stage import Params


def _existing(path: str | None, key: str) -> Path:
    if path is None:
        raise PenumbraError(f"prepare.{key}: this source lies on disk and needs a path.")
    if not Path(path).exists():
        raise PenumbraError(f"prepare.{key}: {path} does not exist. Correct the path or put the data there.")
    return Path(path)


def _caption(class_name: str) -> str:
    """What images of a class show, in words that fit into any prompt: prompts have their own words around it."""
    return class_name.replace("_", " ")


def folder(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """One sub-folder per class, images at any depth below it; names that start with a dot are skipped.

    Images directly in `path` have no class, which a test set does not need.
    """
    root = _existing(spec.path, key)
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
                yield Record(text, name, partial(read_file, path), _caption(name), path=text)
        if not found:
            yield faulty(name, name, "class folder without images")


def imglist(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """An OpenOOD image list: lines of `<path> <label>`, split at the last space; `path` names the list.

    Image paths start from `root` (None: the folder of the list). `classes` names the labels 0, 1, ...; None takes the
    labels themselves as names, and negative ones, OpenOOD's mark of an OOD image, as "no class".
    """
    file = _existing(spec.path, key)
    root = file.parent if spec.root is None else _existing(spec.root, key)
    seen: set[str] = set()
    with open(file, encoding="utf-8-sig", newline=None) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            if line.rstrip().endswith("}"):
                raise PenumbraError(f"{file}:{number}: the label is a dictionary. Write one integer per image: `<path> <integer>`.")
            yield _listed(line.strip("\r\n").strip(), f"{file.name}:{number}", root, spec.classes, seen)


def _listed(line: str, where: str, root: Path, classes: list[str] | None, seen: set[str]) -> Record:
    name, _, text = line.rpartition(" ")
    name = name.rstrip()
    if not name:
        return faulty(where, text, "no label")
    if name in seen:
        return faulty(where, name, "listed before")
    seen.add(name)
    try:
        label = int(text)
    except ValueError:
        return faulty(where, name, f"label {text!r} is not an integer")
    if classes is not None and not 0 <= label < len(classes):
        return faulty(where, name, f"label {label} is out of range: {len(classes)} classes")
    class_name = classes[label] if classes is not None else str(label) if label >= 0 else None
    return Record(name, class_name, partial(read_file, root / name), _caption(class_name or "thing"), path=name)


def cifar10(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """CIFAR-10's python batches, the folder that holds cifar-10-batches-py."""
    return _cifar("CIFAR10", spec, key)


def cifar100(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """CIFAR-100's python batches (fine labels), the folder that holds cifar-100-python."""
    return _cifar("CIFAR100", spec, key)


def _cifar(name: str, spec: Params, key: str) -> Iterator[Record]:
    from penumbra.models.vision import datasets  # takes seconds, and only CIFAR needs it

    root = _existing(spec.path, key)
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
                yield Record(f"{official}/{index:05d}", class_name, partial(Image.fromarray, pixels), _caption(class_name), official)
