"""The truthful plan: what will run and why, and what may run if bytes change."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from penumbra.workflow import cost
from penumbra.workflow.contract import CONTRACT, ENVIRONMENT, PARAMETERS

SHOWN = 4  # reasons of a stage that the table shows
FILES = ("data ", "output ")  # how reasons begin that are of files which stages write,
VALUES = f"{PARAMETERS.name}:"  # and those of parameters


@dataclass(frozen=True)
class Planned:
    """A stage that will run for `reasons`, or without any that may run because something before it will."""

    name: str
    reasons: tuple[str, ...]


def plan(repo: Any, targets: Sequence[str] = ()) -> list[Planned]:
    """Stages that are not as DVC recorded them, and all that follows from them; each after what it needs.

    Args:
        repo: an open dvc.repo.Repo.
        targets: DVC's addresses of stages that are wanted, with what they need, or files of stages; if empty, all of dvc.yaml.
    """
    planned: dict[str, Planned] = {}
    remade: set[str] = set()  # bytes that are changed now, but will be written again before they are read
    for stage in ordered(repo, targets):
        before = {each.addressing for each in repo.index.graph.successors(stage)}
        reasons = tuple(reason for reason in changes(stage) if reason not in remade)
        if reasons or before & planned.keys():
            planned[stage.addressing] = Planned(stage.addressing, reasons)
            remade |= {f"data {out.def_path} modified" for out in stage.outs}
    return list(planned.values())


def ordered(repo: Any, targets: Sequence[str] = ()) -> list[Any]:
    """The DVC stages that the targets need, each after what it needs."""
    from networkx import descendants, topological_sort

    graph = repo.index.graph
    names = set(targets or [CONTRACT.as_posix()])
    wanted = [stage for stage in graph if not names.isdisjoint((stage.addressing, stage.path_in_repo))]
    kept = set(wanted).union(*(descendants(graph, stage) for stage in wanted))
    return [stage for stage in reversed(list(topological_sort(graph))) if stage in kept]


def changes(stage: Any) -> list[str]:
    """How the stage differs from what dvc.lock says of it, one line each."""
    if not any(out.hash_info for out in stage.outs):
        return ["has not run yet"]
    with stage.repo.lock:
        status = stage.status(check_updates=False)
    entries = status.get(stage.addressing, [])
    reasons = []
    for entry in entries:
        if isinstance(entry, str):
            reasons.append(entry if entry != "always changed" else "always runs")
            continue
        for kind, paths in entry.items():
            for path, how in paths.items():
                if isinstance(how, dict):
                    reasons += [line for change in how.values() for line in _parameters(stage, path, change)]
                else:
                    reasons.append(f"{_kind(kind, path)} {path} {how}")
    return reasons


def _kind(kind: str, path: str) -> str:
    if kind == "changed outs":
        return "output"
    return "code" if path.startswith("src/") else "data"


def _parameters(stage: Any, path: str, change: dict | str | Collection) -> list[str]:
    """Parameters or library versions, old -> new. DVC says which; the values are in dvc.lock and on disk."""
    names = change if isinstance(change, dict) else {}
    dependency = next(dep for dep in stage.deps if dep.def_path == path)
    old = (dependency.hash_info.value or {}) if dependency.hash_info else {}
    new = dependency.read_params()
    what = "library " if path == ENVIRONMENT.name else f"{path}:"
    return [line for name in names or new for line in _differences(f"{what}{name}", old.get(name), new.get(name))]


def _differences(name: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [line for key in {**old, **new} for line in _differences(f"{name}.{key}", old.get(key), new.get(key))]
    return [] if old == new else [f"{name} {old} -> {new}"]


def table(planned: Sequence[Planned]) -> str:
    """The plan for a person: stage, recorded seconds, reason; totals at the end."""
    if not planned:
        return "Nothing to run: everything is as DVC recorded it."
    known = cost.recorded()
    names = {each.name: each.name.rpartition(":")[2] for each in planned}  # without the file that DVC puts before it
    seconds = {name: (cost.measured(short) or known.get(short, (None,)))[0] for name, short in names.items()}
    width = max(len(each.name) for each in planned)
    lines = []
    for title, group in {
        "Will run": [each for each in planned if each.reasons],
        "May run, if bytes of what it reads change": [each for each in planned if not each.reasons],
    }.items():
        if group:
            total = sum(seconds[each.name] or 0 for each in group)
            unknown = sum(seconds[each.name] is None for each in group)
            lines += [f"{title} ({total:.0f} s recorded{f', {unknown} unknown' if unknown else ''}):"]
            for each in group:
                time = "unknown" if seconds[each.name] is None else f"{seconds[each.name]:.0f} s"
                first, *others = _shown(each.reasons) or [""]
                lines.append(f"  {each.name:<{width}}  {time:>8}  {first}".rstrip())
                lines += [" " * (width + 14) + other for other in others]
    return "\n".join(lines)


def _shown(reasons: Sequence[str]) -> list[str]:
    """All reasons, or the first and how many more there are."""
    return list(reasons) if len(reasons) <= SHOWN else [*reasons[: SHOWN - 1], f"and {len(reasons) - SHOWN + 1} more"]
