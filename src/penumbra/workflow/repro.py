"""`penumbra repro`: the DAG by Snakemake, in parallel, in agreement with DVC before and after."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from penumbra.errors import PenumbraError
from penumbra.workflow import plan
from penumbra.workflow.contract import CONTRACT, Contract
from penumbra.workflow.execute import rules, run, snakemake


def repro(contract: Contract, targets: Sequence[str], dry: bool) -> None:
    """Run what DVC calls changed, wave by wave, and record it with DVC; then tell Snakemake what is clean.

    A wave is every planned stage with nothing planned before it. Its stages run in parallel and are recorded before the next
    wave begins, so a stage whose inputs come out with equal bytes does not run: Snakemake alone would run it.

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
        stages = {stage.addressing: stage for stage in repo.index.stages}
        for wave in _waves(repo, chosen):
            due = [stages[each.name] for each in wave if each.reasons or plan.changes(stages[each.name])]
            if due:
                _make(contract, due)
        changed = {each.name for each in planned} - wanted
        _agree(contract, {stage.name for stage in plan.ordered(repo, known) if stage.addressing not in changed})


def _waves(repo: Any, planned: Sequence[plan.Planned]) -> Iterator[list[plan.Planned]]:
    """The planned stages, those together that follow nothing which is still to come."""
    graph = repo.index.graph
    before = {stage.addressing: {each.addressing for each in graph.successors(stage)} for stage in graph}
    left = {each.name: each for each in planned}
    while left:
        wave = [each for name, each in left.items() if not before[name] & left.keys()]
        yield wave
        for each in wave:
            del left[each.name]


def _make(contract: Contract, stages: Sequence[Any]) -> None:
    """Have the outputs of DVC stages that follow nothing unfinished, from the run cache or by running them, and record them."""
    pending = [stage for stage in stages if not _restored(stage)]
    if not pending:
        return
    names = [stage.name for stage in pending]
    print(f"running {', '.join(names)}", flush=True)
    with pending[0].repo.lock:
        for stage in pending:
            stage.remove_outs()  # as `dvc repro` does: links to the cache are read-only, which Snakemake refuses
    try:
        run(contract, names)
    finally:
        commit([stage for stage in pending if all(out.exists for out in stage.outs)])


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
    """Whether DVC's run cache had the result."""
    from dvc.stage.cache import RunCacheNotFoundError

    with stage.repo.lock:
        try:
            stage.repo.stage_cache.restore(stage)
            stage.save()
            stage.dump(update_pipeline=False)
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
    command = snakemake("--touch", "--forceall", "--allowed-rules", *rules(clean), "--", *(entry.outputs[0] for entry in clean))
    if subprocess.run(command, capture_output=True).returncode:
        raise PenumbraError("Snakemake could not record what is up to date. `snakemake -n` says why; DVC's record is complete.")
