"""Which rooms there are: a registry that needs no torch."""

from importlib import import_module
from pathlib import Path

from penumbra.values import Section


def reading(kind: str) -> list[type[Section]]:
    """Parameters' types of the rooms whose methods stand under synthesize.KIND, by what they read (`reads`), each told by its `method`."""
    rooms = sorted(path.parent.name for path in Path(__file__).parent.glob("*/params.py"))
    found = [vars(import_module(f"penumbra.synthesize.{room}.params")).values() for room in rooms]
    types = {value for values in found for value in values if isinstance(value, type) and issubclass(value, Section)}
    return sorted((each for each in types if getattr(each, "reads", None) == kind), key=lambda each: each.__name__)
