"""What parameters name on disk, in the repository or outside of it: which files belong to it, and the digest of their contents."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from penumbra.artifacts.files import hash_of
from penumbra.errors import PenumbraError
from penumbra.workflow import index
from penumbra.workflow.index import File

PATHS = (
    "path",
    "checkpoint",
    "vqgan_checkpoint",
    "pipeline",
    "model",
    "word_file",
    "vocabulary",
    "veto",
    "names",
)  # keys that may name files


class Named(NamedTuple):
    """Something on disk that parameters name.

    Attributes:
        path: as it is written.
        root: of an image list, where the paths in it start; None for what is no list.
        classes: of a folder of classes, those that are read; None: all.
        sha256: of an image list, the hash that it must have; None: any.
    """

    path: str
    root: str | None = None
    classes: frozenset[str] | None = None
    sha256: str | None = None

    @property
    def label(self) -> str:
        """What it is called in code.json and in messages."""
        return self.path if self.root in (None, _beside(self.path)) else f"{self.path} of {self.root}"


def digests(params: Mapping[str, Any]) -> dict[str, str]:
    """The digest of each thing on disk that parameters name, by its label; what is not there has none.

    Args:
        params: nested, as of a stage.

    Raises:
        PenumbraError: an image list is another than params say.
    """
    found: dict[str, Named] = {}
    for key, each in named(params):
        if os.path.exists(each.path):
            check(key, each)
            both = found.get(each.label, each)
            classes = both.classes | each.classes if both.classes is not None and each.classes is not None else None
            found[each.label] = each._replace(classes=classes)
    return {label: index.digest(label, each.root or each.path, lambda each=each: files(each)) for label, each in sorted(found.items())}


def check(key: str, each: Named) -> None:
    """Refuse an image list of other content than it must have.

    Args:
        key: of params.yaml, that names it.

    Raises:
        PenumbraError: it has another hash; the message has both.
    """
    if each.sha256 and os.path.isfile(each.path) and (found := hash_of(each.path, "sha256")) != each.sha256:
        where = f"{key.rpartition('.')[0]}.sha256"
        raise PenumbraError(
            f"{where}: {each.path} has the SHA-256 {found}, and not {each.sha256}: it is another list. Get the one that was published, or "
            f"set {where} to null and say so beside the results."
        )


def named(params: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Named]]:
    """Everything that parameters may name on disk, with its dotted key: also what is only a name, such as a hub id."""
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from named(value, f"{above}{key}.")
        elif key in PATHS and isinstance(value, str):
            source, classes = params.get("source") if key == "path" else None, params.get("classes")
            if source == "imglist":
                yield f"{above}{key}", Named(value, params.get("root") or _beside(value), None, params.get("sha256"))
            else:
                yield f"{above}{key}", Named(value, None, frozenset(classes) if source == "folder" and classes else None)
        elif (key, params.get("source")) == ("root", "parquet") and isinstance(value, str):
            yield f"{above}{key}", Named(value)


def files(each: Named) -> Iterator[File]:
    """The files that belong to it, in `index.order`. Names that start with a dot are passed over, as by all that reads folders.

    Raises:
        OSError: a folder cannot be read.
    """
    path = os.fsencode(each.path)
    if each.root is not None and os.path.isfile(path):
        root = os.fsencode(each.root)
        names = {os.path.relpath(path, root), *_listed(each.path)}
        yield from (File(name, index.facts(os.path.join(root, name))) for name in sorted(names, key=index.order))
    elif os.path.isdir(path):
        yield from _below(path, b"", frozenset(), each.classes and frozenset(map(os.fsencode, each.classes)))
    else:
        yield File(b"", index.facts(path))


def _beside(path: str) -> str:
    return os.path.dirname(path) or "."


def _listed(path: str) -> Iterator[bytes]:
    """The images of a list, as `prepare` reads it."""
    with Path(path).open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for line in lines:
            name = line.strip().rpartition(" ")[0].rstrip()
            if name and "\0" not in name:  # no file is called so
                yield os.fsencode(name)


def _below(folder: bytes, above: bytes, within: frozenset[tuple[int, int]], only: frozenset[bytes] | None) -> Iterator[File]:
    """Files at any depth, through links, but not around in a circle of them."""
    at = os.stat(folder)
    if (at.st_dev, at.st_ino) in within:
        return
    within |= {(at.st_dev, at.st_ino)}
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.name.startswith(b".") or only is not None and entry.name not in only:
            continue
        if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
            yield from _below(entry.path, above + entry.name + b"/", within, None)
        else:
            yield File(above + entry.name, index.facts(entry.path))
