"""`penumbra repro`: the DAG by Snakemake, in parallel, in agreement with DVC before and after."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from penumbra.errors import PenumbraError
from penumbra.workflow import execute, plan
from penumbra.workflow.contract import CONTRACT, Contract

SHOWN = 12  # names of stages that run


def repro(contract: Contract, targets: Sequence[str], dry: bool) -> None:
    """Run what DVC calls changed and record it with DVC; then tell Snakemake what is clean.

    Wave by wave: a wave is every planned stage with nothing planned before it. Its stages run in parallel and are recorded before
    the next wave begins, so a stage whose inputs come out with equal bytes does not run: Snakemake alone would run it. Stages
    that run whatever comes out, as all do after a clone, do not wait for waves: Snakemake has them in one go.

    Raises:
        PenumbraError: no such stage, or a stage failed; what was finished is recorded.
    """
    from dvc.repo import Repo

    addresses = [contract.entry(*name.partition("@")[::2]).address for name in targets]
    with Repo() as repo:
        known = [CONTRACT.as_posix(), *addresses]
        planned = plan.plan(repo, known)
        wanted = {stage.addressing for stage in plan.ordered(repo, addresses)}
        chosen = [each for each in planned if each.name in wanted]
        if dry:
            return print(plan.table(chosen))
        _run_all(contract, repo, chosen)
        changed = {each.name for each in planned} - wanted
        _agree(contract, {stage.name for stage in plan.ordered(repo, known) if stage.addressing not in changed})


def _run_all(contract: Contract, repo: Any, planned: Sequence[plan.Planned]) -> None:
    stages = {stage.addressing: stage for stage in repo.index.stages}
    graph = repo.index.graph
    before = {stage.addressing: {each.addressing for each in graph.successors(stage)} for stage in graph}
    left = {each.name: each for each in planned}
    while left:
        wave = [name for name in left if not before[name] & left.keys()]
        due = [name for name in wave if left[name].reasons or plan.changes(stages[name])]
        left = {name: each for name, each in left.items() if name not in wave}
        made = _make(contract, [stages[name] for name in due], [stages[name] for name in _certain(repo, left, before, due)]) if due else []
        left = {name: each for name, each in left.items() if stages[name] not in made}


def _certain(repo: Any, left: dict[str, plan.Planned], before: dict[str, set[str]], due: Sequence[str]) -> list[str]:
    """The stages that will run whatever bytes those come to that are due now: changed themselves, and after nothing that may not run.

    A stage of which nothing but files is amiss is not among them while there is a run cache: it may be restored.
    """
    kept = os.path.isdir(repo.stage_cache.cache_dir) and any(os.scandir(repo.stage_cache.cache_dir))
    found = list(due)
    for name, each in left.items():  # each after what it needs
        own = [reason for reason in each.reasons if not reason.startswith(plan.FILES)]
        if (own or each.reasons and not kept) and before[name] & left.keys() <= set(found):
            found.append(name)
    return found


def _make(contract: Contract, due: Sequence[Any], certain: Sequence[Any]) -> Sequence[Any]:
    """Have the outputs of DVC stages, from the run cache or by running them, and record them.

    Args:
        due: follow nothing unfinished.
        certain: these, and those that will run after them in any case.

    Returns:
        The stages that are done.
    """
    restored = [stage for stage in due if _restored(stage)]
    write_locks(restored)
    pending = [stage for stage in due if stage not in restored]
    if not restored and execute.closed(contract, [contract.stages[stage.name] for stage in certain]):
        pending = list(certain)
    if not pending:
        return restored
    print(f"running {_listed([stage.name for stage in pending])}", flush=True)
    with pending[0].repo.lock:
        for stage in pending:
            stage.remove_outs()  # as `dvc repro` does: links to the cache are read-only, which Snakemake refuses
    recorded: list[Any] = []

    def record() -> None:
        new = [stage for stage in pending if stage not in recorded and execute.finished(contract.stages[stage.name])]
        new = [stage for stage in new if all(out.exists for out in stage.outs)]  # else the log is of an earlier run
        commit(new)
        recorded.extend(new)
        print(f"{len(recorded)} of {len(pending)} stages are done", flush=True)

    try:
        execute.run(contract, [stage.name for stage in pending], record)
    finally:
        record()
    return [*restored, *pending]


def _listed(names: Sequence[str]) -> str:
    """The names, or of very many the number for each step."""
    if len(names) <= SHOWN:
        return ", ".join(names)
    steps = Counter(name.partition("@")[0] for name in names)
    return f"{len(names)} stages: " + ", ".join(step if count == 1 else f"{step} ({count})" for step, count in steps.items())


def commit(stages: Sequence[Any]) -> None:
    """What `dvc commit --force --no-relink` does, with one change of each dvc.lock."""
    if not stages:
        return
    with stages[0].repo.lock:
        for stage in stages:
            stage.save()
            stage.commit(relink=False)
        write_locks(stages)


def write_locks(stages: Sequence[Any]) -> None:
    """Write what DVC stages know of themselves to their dvc.lock, each file once."""
    for file in {stage.path: stage.dvcfile for stage in stages}.values():
        file.dump_stages([stage for stage in stages if stage.path == file.path], update_pipeline=False)


def _restored(stage: Any) -> bool:
    """Whether DVC's run cache had the result, which is now in place; nothing is recorded yet."""
    from dvc.stage.cache import RunCacheNotFoundError

    with stage.repo.lock:
        try:
            stage.repo.stage_cache.restore(stage)
            stage.save()
        except RunCacheNotFoundError:
            return False
    return True


def _agree(contract: Contract, names: set[str]) -> None:
    """Record with Snakemake, too, that these stages are up to date, as DVC calls them."""
    clean = [entry for name, entry in contract.stages.items() if name in names]
    if not clean:
        return
    if any(not os.access(path, os.W_OK) for entry in clean for path in entry.outputs):
        return print("Outputs are read-only links to DVC's cache. Snakemake alone refuses these; dvc and penumbra do not.", file=sys.stderr)
    allowed = execute.rules(clean)
    command = execute.snakemake("--touch", "--forceall", "--allowed-rules", *allowed, "--", *(entry.outputs[0] for entry in clean))
    if subprocess.run(command, capture_output=True).returncode:
        raise PenumbraError("Snakemake could not record what is up to date. `snakemake -n` says why; DVC's record is complete.")
