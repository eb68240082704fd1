"""What `dvc repro` has still to do: it does not say. The first command that it runs plans for all of them."""

import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from penumbra.artifacts.files import replace
from penumbra.workflow import code, plan
from penumbra.workflow.contract import CONTRACT, Contract
from penumbra.workflow.reasons import SAID, Reason
from penumbra.workflow.repository import opened

RUNS = Path(".penumbra")
FORCED = Reason(SAID, "forced")
SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh")


def announce(contract: Contract, stage: str) -> None:
    """Say which of the stages of the `dvc repro` that runs this process begins, and how long what is left took last time.

    Nothing is said where that cannot be known. A stage that may run counts as one that does until its turn is over.
    """
    from dvc.exceptions import DvcException
    from psutil import Error

    with suppress(DvcException, Error, OSError, StopIteration):
        run = _run(contract)
        names = [name for name, _ in run]
        if stage in names:
            place = names.index(stage)
            print(f"[{place + 1} of {len(names)}] {stage}{left([seconds for _, seconds in run[place:]])}", flush=True)


def left(seconds: Sequence[float | None]) -> str:
    """The time that stages take together, as a person reads it."""
    known = [each for each in seconds if each is not None]
    if not known:
        return ""
    minutes, rest = divmod(round(sum(known)), 60)
    hours, minutes = divmod(minutes, 60)
    time = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f", {'about' if len(known) == len(seconds) else 'more than'} {time} left"


def _run(contract: Contract) -> list[tuple[str, float | None]]:
    """The stages that the DVC above this process runs, in its order, each with its seconds; planned once and kept."""
    import psutil

    dvc = next(each for each in psutil.Process().parents() if each.name() not in SHELLS)
    file = RUNS / f"run-{dvc.pid}.json"
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
