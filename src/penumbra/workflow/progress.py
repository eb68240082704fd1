"""What `dvc repro` has still to do: it does not say. The first command that it runs plans for all of them."""

import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from penumbra.artifacts.files import replace
from penumbra.workflow import code, plan
from penumbra.workflow.contract import CONTRACT, Contract
from penumbra.workflow.reasons import SAID, Reason
from penumbra.workflow.repository import opened

RUNS = Path(".penumbra")
FORCED = Reason(SAID, "forced")
ANEW = {"-f", "--force", "--no-run-cache", "--no-commit"}  # options with which DVC does not look for results in its cache
FETCHING = {"--pull"}  # with which it may have them from elsewhere
Run = Sequence[tuple[str, float | None]]  # names of stages in their order, and the seconds of each where they are known
SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh")


def announce(contract: Contract, stage: str) -> Run:
    """Say which of the stages of the `dvc repro` that runs this process begins, and how long what is left took last time.

    Nothing is said where that cannot be known. A stage that may run counts as one that does until its turn is over.

    Returns:
        All stages of this `dvc repro`; none where it is not to find in DVC's cache what has run meanwhile.
    """
    from dvc.exceptions import DvcException
    from psutil import Error

    with suppress(DvcException, Error, OSError, StopIteration):
        dvc = _dvc()
        run = _run(contract, dvc)
        names = [name for name, _ in run]
        if stage in names:
            place = names.index(stage)
            print(f"[{place + 1} of {len(names)}] {stage}{left([seconds for _, seconds in run[place:]])}", flush=True)
            return [] if (ANEW | FETCHING).intersection(dvc.cmdline()) else run
    return []


def have(names: Collection[str]) -> None:
    """Count these stages of the `dvc repro` that runs this process as done: DVC's cache has them."""
    file = _file(_dvc())
    plan = json.loads(file.read_text(encoding="utf-8"))
    plan["run"] = [(name, 0.0 if name in names else seconds) for name, seconds in plan["run"]]
    with replace(file) as temporary:
        temporary.write_text(json.dumps(plan), encoding="utf-8")


def left(seconds: Sequence[float | None]) -> str:
    """The time that stages take together, as a person reads it."""
    known = [each for each in seconds if each is not None]
    if not known:
        return ""
    minutes, rest = divmod(round(sum(known)), 60)
    hours, minutes = divmod(minutes, 60)
    time = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f", {'about' if len(known) == len(seconds) else 'more than'} {time} left"


def _dvc() -> Any:
    """The process of DVC that runs this one."""
    import psutil

    return next(each for each in psutil.Process().parents() if each.name() not in SHELLS)


def _file(dvc: Any) -> Path:
    return RUNS / f"run-{dvc.pid}.json"


def _run(contract: Contract, dvc: Any) -> list[tuple[str, float | None]]:
    """The stages that a process of DVC runs, in its order, each with its seconds; planned once and kept."""
    import psutil

    file = _file(dvc)
    with suppress(OSError, ValueError):
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["began"] == dvc.create_time():
            return [(name, seconds) for name, seconds in kept["run"]]
    for old in RUNS.glob("run-*.json"):
        if not psutil.pid_exists(int(old.stem.removeprefix("run-"))):
            old.unlink(missing_ok=True)
    run = _planned(contract, dvc.cmdline()[1:])
    with replace(file) as temporary:
        temporary.write_text(json.dumps({"began": dvc.create_time(), "run": run}), encoding="utf-8")
    return run


def _planned(contract: Contract, words: Collection[str]) -> list[tuple[str, float | None]]:
    """The stages that a command line of DVC will run or may run, in its order.

    This process is within DVC, which has put its lock down but holds some files: so the plan takes no lock.
    """
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    targets = [word for word in words if word in {*contract.stages, CONTRACT.as_posix()}] or [CONTRACT.as_posix()]
    with opened() as repo:
        wanted = collect_stages(repo, targets)
        single = not {"-s", "--single-item"}.isdisjoint(words)
        steps = wanted if single else plan_repro(get_active_graph(repo.index.graph), wanted)
        planned = {each.name: each for each in plan.plan(repo, targets, locked=False, code=code.entries(contract))}
        if not {"-f", "--force"}.isdisjoint(words):
            planned = {step.addressing: planned.get(step.addressing, plan.Planned(step.addressing, (FORCED,))) for step in steps}
        due = [planned[step.addressing] for step in steps if step.addressing in planned]
        seconds = plan.seconds(due)
    return [(each.name, seconds[each.name]) for each in due]
