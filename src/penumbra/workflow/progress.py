"""What `dvc repro` has still to do: it does not say. The first command that it runs plans for all of them."""

import json
from collections.abc import Callable, Collection, Sequence
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
UNLIKE = (  # options of `dvc repro` and `dvc exp run` with which other stages are run, or results are not looked for in DVC's cache
    *("downstream", "pipeline", "all_pipelines", "recursive", "glob", "interactive", "queue", "run_all", "dry"),
    *("force", "force_downstream", "no_commit", "no_run_cache", "pull", "allow_missing"),
)
Run = Sequence[tuple[str, float | None]]  # names of stages in their order, and the seconds of each where they are known
SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh")


def announce(contract: Contract, stage: str) -> Run:
    """Say which of the stages of the `dvc repro` that runs this process begins, and how long what is left took last time.

    Nothing is said where that cannot be known. A stage that may run counts as one that does until its turn is over.

    Returns:
        This stage, and those after it that DVC would have from its cache if they had run by then.
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
            return _later(contract, dvc, run[place:])
    return []


def _later(contract: Contract, dvc: Any, run: Run) -> Run:
    """What is left of a run; nothing if DVC was called in a way that is not plain. What was run out of its turn has no seconds: it is not
    to be run so again.
    """
    from dvc.cli.parser import get_main_parser

    words = dvc.cmdline()
    called = next(place for place, word in enumerate(words) if Path(word).name == "dvc")
    options = vars(get_main_parser().parse_args(words[called + 1 :]))
    plain = {*contract.stages, CONTRACT.as_posix()}.issuperset(options.get("targets", [None]))
    if not plain or any(options.get(name) for name in UNLIKE):
        return []
    taken = json.loads(_file(dvc).read_text(encoding="utf-8")).get("taken", [])
    return [(name, None if name in taken else seconds) for name, seconds in run]


def take(names: Collection[str]) -> None:
    """Note that these stages are run out of their turn, which is tried once."""
    _note(lambda kept: kept | {"taken": [*kept.get("taken", []), *names]})


def have(names: Collection[str]) -> None:
    """Note that these take no more time: DVC's cache has them."""
    _note(lambda kept: kept | {"run": [(name, 0.0 if name in names else seconds) for name, seconds in kept["run"]]})


def _note(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change what is kept of the `dvc repro` that runs this process, if it can be."""
    with suppress(OSError, ValueError, StopIteration):
        file = _file(_dvc())
        kept = change(json.loads(file.read_text(encoding="utf-8")))
        with replace(file) as temporary:
            temporary.write_text(json.dumps(kept), encoding="utf-8")


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
