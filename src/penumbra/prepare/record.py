"""The contract between a source of images and the rest of the step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from penumbra.errors import PenumbraError


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
