"""`penumbra compare`: two runs side by side, the parameters that differ and one row for each detector."""

import json
from typing import Any

from penumbra.benchmark.headline import COLUMNS
from penumbra.errors import PenumbraError
from penumbra.workflow import changes
from penumbra.workflow.revisions import Revision, find

PARAMS, METRICS = "params.yaml", "reports/metrics.json"
MOST_PARAMS = 20  # lines; `dvc params diff` prints all
FOOTER = """\
Percent: {second}, then its difference to {first} ± the spread of that difference over training
seeds (the root of the sum of both variances). * marks a difference larger than its spread: with few
seeds a hint, no proof. "=" is unchanged. FPR95: OOD images accepted where 95% of ID images are."""

Entry = dict[str, float | None]  # mean and std, fractions


def compare(first: str, second: str) -> str:
    """What changed from one revision to another, in parameters and in numbers.

    Args:
        first, second: git revisions, DVC experiments, or `workspace`.

    Raises:
        PenumbraError: a revision does not exist, or has no parameters or no metrics.
    """
    one, other = find(first), find(second)
    before, after = _metrics(one), _metrics(other)
    params = list(changes.changes(_params(one), _params(other)))
    return "\n".join(
        [
            f"{first} -> {second}",
            *(changes.lines(params, MOST_PARAMS) or ["  no parameter differs"]),
            "",
            *_remarks(before, after, bool(params)),
            *table(before["detectors"], after["detectors"]),
            "",
            FOOTER.format(first=first, second=second),
        ]
    )


def table(before: dict[str, dict], after: dict[str, dict]) -> list[str]:
    """A row for each detector of `after`: its numbers, and how far they are from those of `before`."""
    columns = [["detector", *after]]
    for title, keys in COLUMNS.items():
        cells = [cell(_entry(before.get(name, {}), keys), _entry(result, keys)) for name, result in after.items()]
        widths = [max(map(len, part), default=0) for part in zip(*cells, strict=True)]
        columns.append([title, *(f"{value:>{widths[0]}} {difference:>{widths[1]}}" for value, difference in cells)])
    widths = [max(map(len, column)) for column in columns]
    rows = [" ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in zip(*columns, strict=True)]
    return [rows[0], "-" * max(map(len, rows)), *rows[1:]]


def cell(old: Entry | None, new: Entry | None) -> tuple[str, str]:
    """A number and its difference to the old one: ("98.1", "+0.4±0.7*"), starred where it is larger than its spread.

    The difference ends with the star or a space, so that numbers stand below each other. From ten on it has no decimals.
    """
    if new is None:
        return "-", ""
    value = f"{100 * new['mean']:.1f}"
    if old is None:
        return value, "new "
    if old == new:
        return value, "= "
    difference = 100 * (new["mean"] - old["mean"])
    if old["std"] is None or new["std"] is None:
        return value, f"{difference:+.1f} "
    spread = 100 * (old["std"] ** 2 + new["std"] ** 2) ** 0.5
    decimals = 0 if max(abs(difference), spread) >= 9.95 else 1
    star = "*" if abs(difference) > spread else " "
    return value, f"{difference:+.{decimals}f}±{spread:.{decimals}f}{star}"


def _remarks(before: dict[str, Any], after: dict[str, Any], changed: bool) -> list[str]:
    """What a reader must know before comparing numbers: other data, another score, detectors that come and go."""
    old, new = before["detectors"], after["detectors"]
    remarks = []
    if {"data"} <= before.keys() & after.keys() and before["data"] != after["data"]:
        remarks.append(f"not comparable, another data set: {before['data']} -> {after['data']}")
    elif "data" in after:
        remarks.append(f"in-distribution: {after['data']}")
    if changed and old == new:
        remarks.append("the same numbers in spite of other parameters: `penumbra repro --dry` says what is still to run")
    for word, names in {"added": new.keys() - old.keys(), "removed": old.keys() - new.keys()}.items():
        remarks += [f"{word}: {', '.join(sorted(names))}"] if names else []
    scores = {name: (old[name]["score"], new[name]["score"]) for name in new if "score" in old.get(name, {})}
    remarks += [f"{name}: by another score, {one} -> {other}" for name, (one, other) in scores.items() if one != other]
    return [*remarks, ""] if remarks else []


def _entry(result: dict[str, Any], keys: tuple[str, ...]) -> Entry | None:
    found: Any = result
    for key in keys:
        found = (found or {}).get(key)
    return found


def _metrics(revision: Revision) -> dict[str, Any]:
    try:
        content = json.loads(revision.read(METRICS))
    except ValueError as error:
        raise PenumbraError(f"{revision.name}: {METRICS} is no JSON: {error}.") from None
    if not isinstance(content, dict) or not isinstance(content.get("detectors"), dict):
        raise PenumbraError(f"{revision.name}: {METRICS} holds no results of detectors.")
    return content


def _params(revision: Revision) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(revision.read(PARAMS)) or {}
    except YAMLError as error:
        raise PenumbraError(f"{revision.name}: {PARAMS} cannot be read as YAML: {str(error).splitlines()[0]}.") from None
