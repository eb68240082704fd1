"""`penumbra contract`: dvc.yaml's code and libraries are those that the steps import."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from penumbra.artifacts.files import replace
from penumbra.errors import PenumbraError
from penumbra.workflow import closure, libraries
from penumbra.workflow.contract import ABLATIONS, CONTRACT, ENVIRONMENT

FILES = (CONTRACT, ABLATIONS)


def check() -> None:
    """Say that dvc.yaml and environment.yaml agree with the imports.

    Raises:
        PenumbraError: they do not; the message has a line for each difference.
    """
    differences = [line for path in FILES for line in mend(_read(path)["stages"])] + _environment_differences()
    if differences:
        raise PenumbraError("dvc.yaml: differs from the imports. Run `penumbra contract --write`.\n" + "\n".join(differences))
    print("dvc.yaml names the code and the libraries that the steps import.")


def write() -> None:
    """Mend both dvc.yaml and environment.yaml in place; comments and everything written by hand stay."""
    differences = []
    for path in FILES:
        content = _read(path)
        if lines := mend(content["stages"]):
            _write(path, content)
            differences += lines
    if differences_in_versions := _environment_differences():
        _write(ENVIRONMENT, _environment(libraries.installed(_libraries())))
    print("\n".join(differences + differences_in_versions) or "nothing to mend")


def mend(stages: CommentedMap) -> list[str]:
    """Put the recomputed code and libraries into the stages of dvc.yaml; return the differences, one line each."""
    differences = []
    closures = _closures(stages)
    for step, stage in stages.items():
        items = stage.get("foreach", {})
        template = stage.get("do", stage)
        own = {item: closures[step, item] for item in items or [None]}
        if not all(code for code, _ in own.values()):
            differences.append(f"{step}: src/penumbra/{step}/ has no step.py, nor a module for each item")
            continue
        for index, (kind, key, replace_in) in enumerate([("code", "deps", _set_code), ("libraries", "params", _set_libraries)]):
            wanted = {item: list(found[index]) for item, found in own.items()}
            shared, slots = _share(wanted)
            before = {item: _declared(template, items.get(item, {}), kind) for item in own}
            for item in own:
                name = f"{step}@{item}" if item else step
                differences += [f"{name}: + {each}" for each in wanted[item] if each not in before[item]]
                differences += [f"{name}: - {each}" for each in before[item] if each not in wanted[item]]
            if any(set(before[item]) != set(wanted[item]) for item in own):
                width = len(next(iter(slots.values())))
                _place(template, key)
                replace_in(template[key], [*shared, *(f"${{item.{kind}[{slot}]}}" for slot in range(width))])
                for item, values in items.items():
                    values.pop(kind, None)
                    if width:
                        values[kind] = CommentedSeq(slots[item])
    return differences


def _closures(stages: Mapping) -> dict[tuple[str, str | None], tuple[list[str], list[str]]]:
    found = {}
    for step, stage in stages.items():
        for item in stage.get("foreach") or [None]:
            files, names = closure.closure(closure.entry(step, item))
            found[step, item] = [file.as_posix() for file in files], names
    return found


def _share(wanted: dict[Any, list[str]]) -> tuple[list[str], dict[Any, list[str]]]:
    """What all items have, and the rest of each, made equally long by naming its last entry again."""
    shared = sorted(set.intersection(*map(set, wanted.values())))
    rest = {item: [each for each in values if each not in shared] for item, values in wanted.items()}
    width = max(map(len, rest.values()))
    return shared, {item: [*values, *[(values or shared)[-1]] * (width - len(values))] for item, values in rest.items()}


def _declared(template: Mapping, item: Mapping, kind: str) -> list[str]:
    """Code or libraries that the stage of an item declares now."""
    if kind == "code":
        named = [dep for dep in template.get("deps", ()) if dep.startswith("src/")]
    else:
        entries = [entry for entry in template.get("params", ()) if isinstance(entry, Mapping)]
        named = [name for entry in entries for name in entry[ENVIRONMENT.name] if not name.startswith("${")]
    return list(dict.fromkeys([*named, *(item.get(kind) or ())]))


def _place(template: CommentedMap, key: str) -> None:
    """An empty list at the usual place, unless there is one."""
    if key not in template:
        after = [name for name in ("desc", "cmd", "deps") if name in template]
        template.insert(len(after), key, CommentedSeq())


def _set_code(deps: CommentedSeq, wanted: list[str]) -> None:
    for index in reversed(range(len(deps))):
        if deps[index].startswith(("src/", "${item.code[")):
            del deps[index]
    deps.extend(wanted)


def _set_libraries(params: CommentedSeq, wanted: list[str]) -> None:
    for index in reversed(range(len(params))):
        if isinstance(params[index], Mapping):
            del params[index]
    if wanted:
        names = CommentedSeq(wanted)
        if not any(name.startswith("${") for name in wanted):
            names.fa.set_flow_style()
        params.append(CommentedMap({ENVIRONMENT.name: names}))


def _environment(versions: dict[str, str]) -> CommentedMap:
    content = CommentedMap(versions)
    content.yaml_set_start_comment("Libraries that results depend on; `penumbra contract --write` writes what is installed.")
    return content


def _environment_differences() -> list[str]:
    wanted = libraries.installed(_libraries())
    recorded = _read(ENVIRONMENT) if ENVIRONMENT.exists() else {}
    changed = sorted(name for name in {*wanted, *recorded} if wanted.get(name) != recorded.get(name))
    return [f"environment.yaml: {name}: {recorded.get(name, 'missing')} -> {wanted.get(name, 'not needed')}" for name in changed]


def _libraries() -> set[str]:
    return {name for path in FILES for _, found in _closures(_read(path)["stages"]).values() for name in found}


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _read(path: Path) -> CommentedMap:
    return _yaml().load(path.read_text(encoding="utf-8"))


def _write(path: Path, content: CommentedMap) -> None:
    text = io.StringIO()
    _yaml().dump(content, text)
    with replace(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
