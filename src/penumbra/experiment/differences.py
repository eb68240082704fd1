"""Sections of params.yaml that are given by their difference to another one: `like: NAME`, and the keys that are not as there."""

from collections.abc import Iterator, Sequence
from typing import Any

PLACES = (
    *(("synthesize", method) for method in ("badood", "good", "sona", "synood", "negatives", "images", "diffusion")),
    *(("train", "recipes", kind) for kind in ("scratch", "classifier", "reconstruction", "clip", "repainting", "encoder")),
    ("score", "more"),
    ("rerun", "scores"),
)  # the sections whose entries may be like one another


def expand(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters with every `like` replaced by what it stands for; sections of the same name are merged, all else is replaced.

    A section that is like one that does not exist here, or that is itself like another, stays as it is.
    """
    for place in PLACES:
        sections = _at(params, place)
        if isinstance(sections, dict):
            params = _with(params, place, {name: _expanded(section, sections) for name, section in sections.items()})
    return params


def unlike(params: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """The sections that are like none that they can be like, and the names that would do."""
    for place in PLACES:
        sections = _at(params, place)
        if isinstance(sections, dict):
            whole = [name for name, section in sections.items() if not (isinstance(section, dict) and "like" in section)]
            for name, section in sections.items():
                if isinstance(section, dict) and "like" in section and section["like"] not in whole:
                    yield (*place, name), whole


def inherited(params: dict[str, Any], loc: Sequence[str | int]) -> bool:
    """Whether the value at `loc` of the expanded parameters, or the key that `loc` ends with "[key]" for, is not the section's own."""
    loc = loc[:-1] if tuple(loc[-1:]) == ("[key]",) else loc
    for place in PLACES:
        if tuple(loc[: len(place)]) == place and len(loc) > len(place) + 1:
            section = _at(params, loc[: len(place) + 1])
            if isinstance(section, dict) and "like" in section:
                own = loc[len(place) + 1 :]
                return tuple(own) == ("like",) or not _has(section, own)  # `unlike` has checked the name
    return False


def taken_over(params: dict[str, Any], loc: Sequence[str]) -> dict[str, Any]:
    """What a section has from the one that it is like, without what it says itself; empty where it is like none."""
    section = _at(params, loc)
    like = section.get("like") if isinstance(section, dict) else None
    base = _at(params, (*loc[:-1], like)) if isinstance(like, str) else None
    return _rest(base, section) if isinstance(base, dict) else {}


def _rest(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    rest = {}
    for key, value in base.items():
        both = isinstance(value, dict) and isinstance(changes.get(key), dict)
        if key not in changes or both:
            rest[key] = _rest(value, changes[key]) if both else value
    return rest


def _at(params: Any, place: Sequence[str]) -> Any:
    """What stands at a place; None if there is nothing."""
    for key in place:
        params = params.get(key) if isinstance(params, dict) else None
    return params


def _has(section: Any, loc: Sequence[str | int]) -> bool:
    for key in loc:
        if not (key in section if isinstance(section, dict) else isinstance(section, list) and key in range(len(section))):
            return False
        section = section[key]
    return len(loc) > 0


def _expanded(section: Any, sections: dict[str, Any]) -> Any:
    base = sections.get(section["like"]) if isinstance(section, dict) and isinstance(section.get("like"), str) else None
    if not isinstance(base, dict) or "like" in base:
        return section
    return _merged(base, {key: value for key, value in section.items() if key != "like"})


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both else value
    return merged


def _with(params: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    if not place:
        return value
    return {**params, place[0]: _with(params[place[0]], place[1:], value)}
