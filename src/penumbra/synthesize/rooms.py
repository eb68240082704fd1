"""Which methods there are; needs no torch."""

from penumbra import synthesize
from penumbra.registry import load, rooms
from penumbra.values import Section


def reading(kind: str) -> list[type[Section]]:
    """Parameters' types of the methods that stand under synthesize.KIND, by what they read (`reads`), each told by its `method`."""
    found = [value for room in rooms(synthesize) for value in vars(load(synthesize, room, "params")).values()]
    types = {value for value in found if isinstance(value, type) and issubclass(value, Section)}
    return sorted((each for each in types if getattr(each, "reads", None) == kind), key=lambda each: each.__name__)
