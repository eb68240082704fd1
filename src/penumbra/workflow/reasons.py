"""Why a stage is not as DVC recorded it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penumbra.workflow.contract import CODE, dig, versions

# kinds of reasons: it has not run; DVC says so in a word; what its program is and computes with; files; values
NEW, SAID, CODED, DATA, OUTPUT, PARAMETER = "new", "said", "code", "data", "output", "parameter"


@dataclass(frozen=True)
class Reason:
    """One thing that differs from the record.

    Attributes:
        kind: one of those above.
        text: a line for people.
        modified: the path of a file that lies there with other bytes; else "".
        resizes: whether it may change how long the stage works.
    """

    kind: str
    text: str
    modified: str = ""
    resizes: bool = False


def reasons(stage: Any, locked: bool = True, code: Mapping[str, Any] | None = None) -> list[Reason]:
    """How the stage differs from what dvc.lock says of it.

    Args:
        stage: a dvc stage.
        locked, code: see `plan.plan`.
    """
    if not any(out.hash_info for out in stage.outs):
        return [Reason(NEW, "has not run yet")]
    if locked:
        with stage.repo.lock:
            status = stage.status(check_updates=False)
    else:
        status = type(stage).status.__wrapped__(stage, check_updates=False)
    found = _of_code(stage, code)
    for entry in status.get(stage.addressing, []):
        if isinstance(entry, str):
            found.append(Reason(SAID, entry if entry != "always changed" else "always runs"))
            continue
        for kind, paths in entry.items():
            for path, how in paths.items():
                if path == CODE.name and kind == "changed deps":
                    continue
                if isinstance(how, dict):
                    found += [each for change in how.values() for each in _of_parameters(stage, path, change)]
                else:
                    found.append(_of_file(kind, path, how))
    return found


def _of_file(changed: str, path: str, how: str) -> Reason:
    kind = OUTPUT if changed == "changed outs" else CODED if path == "src" or path.startswith("requirements") else DATA
    return Reason(kind, f"{kind} {path} {how}", modified=path if how == "modified" else "")


def _of_code(stage: Any, code: Mapping[str, Any] | None) -> list[Reason]:
    """Whose code, which library and which inherited parameter has changed; by what code.json would hold, if that is given."""
    dependency = next((dep for dep in stage.deps if dep.def_path == CODE.name), None)
    if dependency is None:
        return []
    old = (dependency.hash_info.value or {}) if dependency.hash_info else {}
    new = {key: dig(code, key) for key in dependency.params} if code is not None else dependency.read_params()
    lines = []
    for key in dependency.params:
        was, now = (value if isinstance(value, dict) else {} for value in (old.get(key), new.get(key)))
        lines += [f"code of {stage.name}"] if was.get("code") != now.get("code") else []
        lines += [f"library {said(*each)}" for each in differences(versions(was), versions(now))]
        lines += [f"inherited {said(*each)}" for each in differences(was.get("inherited", {}), now.get("inherited", {}))]
        files = was.get("files", {}), now.get("files", {})
        lines += [f"file {path} modified" for path in sorted(files[0].keys() | files[1].keys()) if files[0].get(path) != files[1].get(path)]
    return [Reason(CODED, line) for line in lines]


def _of_parameters(stage: Any, path: str, change: dict | str | Collection) -> Iterator[Reason]:
    """Parameters, old -> new. DVC says which; the values are in dvc.lock and on disk."""
    names = change if isinstance(change, dict) else {}
    dependency = next(dep for dep in stage.deps if dep.def_path == path)
    old = (dependency.hash_info.value or {}) if dependency.hash_info else {}
    new = dependency.read_params()
    for name in names or new:
        for key, was, now in differences(old.get(name), new.get(name), name):
            resizes = not (isinstance(was, float) and isinstance(now, float))  # a rate changes no amount of work
            yield Reason(PARAMETER, f"{path}:{said(key, was, now)}", resizes=resizes)


def differences(old: Any, new: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """The leaves that differ: dotted name, old value, new value; None where there is none."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        start = f"{name}." if name else ""
        return [each for key in {**old, **new} for each in differences(old.get(key), new.get(key), f"{start}{key}")]
    return [] if old == new else [(name, old, new)]


def said(name: str, old: Any, new: Any) -> str:
    """A difference as a line."""
    return f"{name} {old} -> {new}"
