"""The contract between a source of images and the rest of the step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from penumbra.errors import PenumbraError
from penumbra.prepare import sources
from penumbra.registry import load
from penumbra.seeds import derive
from penumbra.stage import Params


class Unusable(Exception):
    """An image that cannot be used; the message is the reason that the quarantine table shows."""


@dataclass(frozen=True)
class Record:
    """One image of a source, not yet read.

    Attributes:
        source_id: the original image, unique in its source ("digits/0123", or a path below the source's root).
        class_name: its class; None if the source does not say.
        load: reads or renders it; raises `Unusable`, or whatever its reader raises.
        caption: what a text-conditioned model is told about it.
        official: "train" or "test" where the source comes split, else None.
        path: where it lies on disk, else None.
        fault: why it is unusable, where the source knows before reading it.
    """

    source_id: str
    class_name: str | None
    load: Callable[[], Image.Image]
    caption: str = ""
    official: str | None = None
    path: str | None = None
    fault: str = ""


def faulty(source_id: str, path: str | None, fault: str) -> Record:
    """A record that the source itself finds unusable."""

    def refuse() -> Image.Image:
        raise Unusable(fault)

    return Record(source_id, None, refuse, path=path, fault=fault)


def choose(wanted: Sequence[str] | None, available: Sequence[str], key: str) -> list[str]:
    """The wanted classes (None: all available ones).

    Raises:
        PenumbraError: a wanted class is not available.
    """
    missing = [name for name in wanted or [] if name not in available]
    if missing:
        raise PenumbraError(f"prepare.{key}.classes: {missing} not in the source. Choose from {list(available)[:40]}.")
    return list(wanted or available)


def take_turns(spec: Params, key: str, seed: int, classes: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """Source id, class and seed of `spec.limit` images to render; the classes take turns."""
    if spec.limit is None:
        raise PenumbraError(f"prepare.{key}.limit: null, but this source is rendered and never ends. Give a number.")
    for index in range(spec.limit):
        name = classes[index % len(classes)]
        source_id = f"{spec.source}/{name}/{index:05d}"
        yield source_id, name, derive(seed, "prepare", key, source_id)


def existing(path: str | None, key: str) -> Path:
    if path is None:
        raise PenumbraError(f"prepare.{key}: this source lies on disk and needs a path.")
    if not Path(path).exists():
        raise PenumbraError(f"prepare.{key}: {path} does not exist. Correct the path or put the data there.")
    return Path(path)


def caption_of(class_name: str) -> str:
    """What images of a class show, in words that fit into any prompt: prompts have their own words around it."""
    return class_name.replace("_", " ")


def read_source(spec: Params, key: str, seed: int) -> Iterator[Record]:
    """The records of a source, in an order of its own that never changes.

    Args:
        spec: a section of params.yaml: source, path, root, classes and, but for ID, limit.
        key: the section's name below prepare ("near.mnist-6-9"), for messages and seeds.

    Raises:
        PenumbraError: missing path, unknown class.
    """
    return load(sources, spec.source).read(spec, key, seed)
