"""What differs between two parameter files, for people: one line for each key."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

KEYS, LONGEST = 40, 26  # characters of the keys' column and of a value: two of these and a key are a line of 100
ABSENT = "(absent)"

Change = tuple[str, Any, Any]  # dotted key, old value, new value; ABSENT where there is none


def changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[Change]:
    """The keys whose values differ. A section that only one side has is one change, and so is a list."""
    for key in [*old, *(key for key in new if key not in old)]:
        before, after, name = old.get(key, ABSENT), new.get(key, ABSENT), f"{prefix}{key}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from changes(before, after, f"{name}.")
        elif not same(before, after):
            yield name, before, after


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same in YAML: 1, 1.0 and true are three."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    kinds = [next((kind for kind in (bool, int, float, str) if isinstance(each, kind)), None) for each in (one, other)]
    return kinds[0] == kinds[1] and one == other


def lines(found: list[Change], most: int) -> list[str]:
    """A line `key  old -> new` for each change, the first `most` of them."""
    shown = found[:most]
    width = min(max((len(key) for key, _, _ in shown), default=0), KEYS)
    rest = [f"  ... and {len(found) - len(shown)} more"] if len(shown) < len(found) else []
    return [f"  {key:{width}}  {text(old)} -> {text(new)}" for key, old, new in shown] + rest


def text(value: Any) -> str:
    """A value on one line as YAML has it, its middle left out if it is long."""
    if value == ABSENT:
        return ABSENT
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, Mapping):
        written = "{" + ", ".join(f"{key}: {text(each)}" for key, each in value.items()) + "}"
    if len(written) <= LONGEST:
        return written
    return f"{written[: LONGEST - 12]} ... {written[-7:]}"
