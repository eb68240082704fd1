"""params.yaml, read and validated before any work starts."""

import difflib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from penumbra.errors import PenumbraError
from penumbra.experiment.consistency import faults
from penumbra.experiment.differences import expand, inherited, unlike
from penumbra.experiment.schema import Experiment
from penumbra.values import TAGS

TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text (numbers and words like yes in quotes)",
    "string_too_short": "text",
    "list_type": "a list",
    "dict_type": "a section",
    "model_type": "a section",
    "model_attributes_type": "a section",
}
BOUNDS = {
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "{expected}",
    "too_short": "a list or section of {min_length} at least",
    "too_long": "a list or section of {max_length} at most",
}
DEEPEST, MOST = 20, 100_000  # levels of sections, and values, that a file may hold
TOO_DEEP = f"nests sections more than {DEEPEST} levels deep, or an alias (*NAME) stands inside what it stands for"
SHOWN = 80  # characters of a value in a message
OF_IMAGES = tuple(("train", "recipes", kind) for kind in ("scratch", "classifier", "reconstruction"))
ROOMS = tuple(("synthesize", kind) for kind in ("images", "diffusion"))
ALTERNATIVES = (*OF_IMAGES, *ROOMS, ("score", "more"), ("rerun", "scores"))  # entries of several types, told apart by a key


def validate(path: str | os.PathLike) -> Experiment:
    """The parameters, `like` replaced by what it stands for.

    Raises:
        PenumbraError: one line per problem: key, value, what is allowed.
    """
    return typed(load(path), Path(path).name)


def typed(given: dict[str, Any], name: str) -> Experiment:
    """The same of the content of the file `name`, as `load` returns it."""
    content = expand(given)
    problems = [_line((*place, "like"), given, f"must be one of {', '.join(names)}") for place, names in unlike(given)]
    if not problems:
        try:
            experiment = Experiment.model_validate(content)
            found = [(key.split("."), allowed) for key, allowed in faults(experiment)]
            problems = [_line(loc, content, allowed) for loc, allowed in found if not inherited(given, loc)]
        except ValidationError as error:
            problems = list(_lines(error, content, given))
    if problems:
        raise PenumbraError("\n".join(f"{name}: {problem}" for problem in problems))
    return experiment


def load(path: str | os.PathLike) -> dict[str, Any]:
    """A YAML mapping as DVC reads it (YAML 1.2, no repeated keys), of names and of finitely many values.

    Raises:
        PenumbraError: the file is missing, or is not such a mapping; names the line or the key.
    """
    name = Path(path).name
    try:
        content = YAML(typ="safe", pure=True).load(Path(path).read_bytes().decode())
    except FileNotFoundError:
        raise PenumbraError(f"{path}: does not exist. Run from the root of the repository.") from None
    except OSError as error:
        raise PenumbraError(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise PenumbraError(f"{name} line {error.object.count(10, 0, error.start) + 1}: is not UTF-8 text. Save it as UTF-8.") from error
    except RecursionError:
        raise PenumbraError(f"{name}: {TOO_DEEP}.") from None
    except (YAMLError, ValueError, TypeError, ArithmeticError) as error:  # the last three: of a number or a date that is none
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        reason = (getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)).splitlines()[0]
        raise PenumbraError(f"{name}{where}: cannot be read as YAML: {reason}.") from error
    if not isinstance(content, dict):
        raise PenumbraError(f"{name}: must be a mapping of sections, one for each step.")
    _check_finite(content, name)
    return content


def _check_finite(content: dict, name: str) -> None:
    """Aliases can make endlessly many values of a few lines.

    Raises:
        PenumbraError: a key is no text, sections are nested too deeply, or there are too many values.
    """
    waiting: list[tuple[tuple, Any]] = [((), content)]
    for _ in range(MOST):
        if not waiting:
            return
        loc, value = waiting.pop()
        if len(loc) > DEEPEST:
            raise PenumbraError(f"{name}: {TOO_DEEP}.")
        if isinstance(value, dict):
            if other := [key for key in value if not isinstance(key, str)]:
                where = f"{_dotted(loc)}: " if loc else ""
                raise PenumbraError(f"{name}: {where}the key {_shown(other[0])} must be text (numbers and words like yes in quotes).")
            waiting += [((*loc, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*loc, index), inner) for index, inner in enumerate(value)]
    raise PenumbraError(f"{name}: holds more than {MOST} values; aliases (*NAME) repeat what they stand for.")


def known_leaves(params: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys of all values that are not sections, in file order; a list is one value, and so is an empty section."""
    leaves: list[str] = []
    for key, value in params.items():
        leaves += known_leaves(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [f"{prefix}{key}"]
    return leaves


def _lines(error: ValidationError, content: dict, given: dict) -> Iterator[str]:
    """One line per problem; a misspelt key hides that the right one is missing, and what is inherited is said once."""
    details = error.errors(include_url=False, include_input=False)
    for detail in details:
        detail["loc"] = _without_tag(detail["loc"])
    details = [detail for detail in details if not inherited(given, _place(detail))] or details
    missing = {detail["loc"] for detail in details if detail["type"] == "missing"}
    guesses = {detail["loc"]: _guess(detail["loc"], missing, content) for detail in details if detail["type"] == "extra_forbidden"}
    for detail in details:
        loc, kind, context = detail["loc"], detail["type"], detail.get("ctx", {})
        if kind == "union_tag_not_found":
            yield f"{_dotted(loc)}.{context['discriminator'].strip(chr(39))}: is missing; there are no defaults"
        elif kind == "union_tag_invalid":
            key, tags = context["discriminator"].strip("'"), context["expected_tags"]
            near = difflib.get_close_matches(str(context["tag"]), re.findall("'([^']*)'", tags), n=1)
            yield _line((*loc, key), content, f"must be one of {tags}" + (f"; did you mean {near[0]}?" if near else ""))
        elif kind == "missing":
            if loc not in guesses.values():
                yield f"{_dotted(loc)}: is missing; there are no defaults"
        elif kind == "extra_forbidden":
            guess = guesses[loc]
            yield f"{_dotted(loc)}: unknown key" + (f"; did you mean {guess[-1]}?" if guess else "")
        elif loc[-1] == "[key]":
            yield f"{_dotted(loc[:-1])}: " + (f"must be named {context['expected']}" if kind == "literal_error" else detail["msg"])
        else:
            allowed = TYPES.get(kind) or BOUNDS.get(kind, "").format_map(context)
            yield _line(loc, content, f"must be {allowed}" if allowed else detail["msg"])


def _place(detail: dict[str, Any]) -> tuple:
    """Where the value stands that a problem is about: of an entry that is of no type, that which says the type."""
    return (*detail["loc"], detail["ctx"]["discriminator"].strip("'")) if detail["type"].startswith("union_tag") else detail["loc"]


def _without_tag(loc: tuple) -> tuple:
    """The place of a problem without the name of the alternative that was tried there."""
    loc = tuple(part for part in loc if part not in TAGS)
    for parents in ALTERNATIVES:
        if loc[: len(parents)] == parents and len(loc) > len(parents) + 1 and loc[-1] != "[key]":
            return (*loc[: len(parents) + 1], *loc[len(parents) + 2 :])
    return loc


def _guess(loc: tuple, missing: set[tuple], content: dict) -> tuple | None:
    """The key beside an unknown one that may be meant: a missing one if any is close, else one that is there."""
    beside = [key[-1] for key in missing if key[:-1] == loc[:-1]]
    there = [key for key in _value(content, loc[:-1]) if isinstance(key, str) and key != loc[-1]]
    for candidates in (beside, there):
        if close := difflib.get_close_matches(str(loc[-1]), candidates, n=1):
            return *loc[:-1], close[0]
    return None


def _line(loc: Sequence[str | int], content: dict, allowed: str) -> str:
    try:
        value = _value(content, loc)
    except (KeyError, IndexError, TypeError):  # it is what is missing
        return f"{_dotted(loc)}: {allowed}"
    if isinstance(value, dict):
        return f"{_dotted(loc)}: {allowed}"
    return f"{_dotted(loc)} = {_shown(value)}: {allowed}"


def _shown(value: Any) -> str:
    """A value as JSON, no longer than it may be in a message; what follows is not even made."""
    text = ""
    for chunk in json.JSONEncoder(ensure_ascii=False, default=str).iterencode(value):
        text += chunk
        if len(text) > SHOWN:
            return text[: SHOWN - 3] + "..."
    return text


def _value(content: Any, loc: Sequence[str | int]) -> Any:
    for key in loc:
        content = content[key]
    return content


def _dotted(loc: Sequence[str | int]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{_printed(key)}" for key in loc).lstrip(".")


def _printed(key: Any) -> str:
    return str(key) if str(key).isprintable() and len(str(key)) <= SHOWN else _shown(str(key))
