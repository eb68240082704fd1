"""Images that an OpenOOD image list names."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from penumbra.errors import PenumbraError
from penumbra.prepare.pixels import read_file
from penumbra.prepare.record import Record, caption_of, existing, faulty
from penumbra.stage import Params


def read(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """An OpenOOD image list: lines of `<path> <label>`, split at the last space; `path` names the list.

    Image paths start from `root` (None: the folder of the list). `classes` names the labels 0, 1, ...; None takes the
    labels themselves as names, and negative ones, OpenOOD's mark of an OOD image, as "no class".
    """
    file = existing(spec.path, key)
    root = file.parent if spec.root is None else existing(spec.root, key)
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
    return Record(name, class_name, partial(read_file, root / name), caption_of(class_name or "thing"), path=name)
