"""The truthful plan: what will run and why, and what may run if bytes change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from penumbra.workflow import cost
from penumbra.workflow.commit import recalled
from penumbra.workflow.contract import CODE, CONTRACT, parts
from penumbra.workflow.reasons import DATA, Reason, reasons

SHOWN = 4  # reasons of a stage that the table shows
SIZING = ("prepare", "synthesize")  # steps whose parameters say how many images the others have to do with


@dataclass(frozen=True)
class Planned:
    """A stage that will run for `reasons`, or without any that may run because something before it will.

    Attributes:
        comparable: whether the seconds that an earlier run of it took say something about this one.
        cached: whether DVC's cache has the result, so that it will be restored instead.
    """

    name: str
    reasons: tuple[Reason, ...]
    comparable: bool = True
    cached: bool = False


def plan(repo: Any, targets: Sequence[str] = (), locked: bool = True, code: Mapping[str, Any] | None = None) -> list[Planned]:
    """Stages that are not as DVC recorded them, and all that follows from them; each after what it needs.

    Args:
        repo: an open dvc.repo.Repo.
        targets: DVC's addresses of stages that are wanted, with what they need, or files of stages; if empty, all of dvc.yaml.
        locked: whether to refuse while another DVC writes some of the files; not so for a command that this one runs.
        code: what code.json would hold if it were written now; None: what it holds.
    """
    planned: dict[str, Planned] = {}
    resized: set[str] = set()
    remade: set[str] = set()  # paths whose bytes may be others now, but will be written again before they are read
    for stage in ordered(repo, targets):
        before = {each.addressing for each in repo.index.graph.successors(stage) if code is None or not writes_code(each)}
        found = tuple(each for each in reasons(stage, locked, code) if not (each.kind == DATA and each.modified in remade))
        if found or before & planned.keys():
            other = any(each.resizes for each in found)
            planned[stage.addressing] = Planned(stage.addressing, found, not other and not before & resized)
            if other and parts(stage.name)[0] in SIZING or before & resized:
                resized.add(stage.addressing)
            remade |= {path for out in stage.outs for path in _within(out.def_path)}
    return list(planned.values())


def _within(path: str) -> list[str]:
    """A path and the folders that it lies in: others may read what a folder holds."""
    return [path, *(parent.as_posix() for parent in PurePosixPath(path).parents if parent.name)]


def writes_code(stage: Any) -> bool:
    """Whether it is the stage that writes code.json."""
    return any(out.def_path == CODE.name for out in stage.outs)


def ordered(repo: Any, targets: Sequence[str] = ()) -> list[Any]:
    """The DVC stages that the targets need, each after what it needs."""
    from networkx import descendants, topological_sort

    graph = repo.index.graph
    names = set(targets or [CONTRACT.as_posix()])
    wanted = [stage for stage in graph if not names.isdisjoint((stage.addressing, stage.path_in_repo))]
    kept = set(wanted).union(*(descendants(graph, stage) for stage in wanted))
    return [stage for stage in reversed(list(topological_sort(graph))) if stage in kept]


def with_cached(repo: Any, planned: Sequence[Planned]) -> list[Planned]:
    """The plan with those stages marked whose result DVC's cache has, as far as that can be known before anything runs."""
    stages = {stage.addressing: stage for stage in repo.index.stages}
    graph, known, unknown = repo.index.graph, {}, set()
    marked = []
    for each in planned:
        before = {other.addressing for other in graph.successors(stages[each.name])}
        outs = [] if before & unknown else recalled(stages[each.name], known)
        known |= {out.fs_path: out for out in outs}
        if not outs:
            unknown.add(each.name)
        marked.append(replace(each, cached=bool(outs)))
    return marked


def seconds(planned: Sequence[Planned]) -> dict[str, float | None]:
    """The seconds of each stage when it last ran, here or where the results come from; None where that says nothing of this run."""
    recorded = cost.recorded()
    found: dict[str, float | None] = {}
    for each in planned:
        measured = cost.measured(each.name) or recorded.get(each.name) if each.comparable else None
        found[each.name] = measured[0] if measured else None
    return found


def table(planned: Sequence[Planned]) -> str:
    """The plan for a person: stage, recorded seconds, reason; totals at the head of each group."""
    if not planned:
        return "Nothing to run: everything is as DVC recorded it."
    known = seconds(planned)
    width = max(len(each.name) for each in planned)
    lines = []
    for title, group in {
        "Will run": [each for each in planned if each.reasons],
        "May run, if bytes of what it reads change": [each for each in planned if not each.reasons],
    }.items():
        if group:
            working = [known[each.name] for each in group if not each.cached]
            counts = {"unknown": working.count(None), "from cache": len(group) - len(working)}
            total = f"{sum(time or 0 for time in working):.0f} s recorded"
            parts = [total, *(f"{count} {what}" for what, count in counts.items() if count)]
            lines += [f"{title} ({', '.join(parts)}):"]
            for each in group:
                time = "from cache" if each.cached else "unknown" if known[each.name] is None else f"{known[each.name]:.0f} s"
                first, *others = _shown([reason.text for reason in each.reasons]) or [""]
                lines.append(f"  {each.name:<{width}}  {time:>10}  {first}".rstrip())
                lines += [" " * (width + 16) + other for other in others]
    return "\n".join(lines)


def _shown(lines: list[str]) -> list[str]:
    """All lines, or the first and how many more there are."""
    return lines if len(lines) <= SHOWN else [*lines[: SHOWN - 1], f"and {len(lines) - SHOWN + 1} more"]
