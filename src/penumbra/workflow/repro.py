"""`penumbra repro`: the DAG by Snakemake, in parallel, in agreement with DVC before and after."""

import subprocess
from collections.abc import Sequence
from typing import Any

from penumbra.errors import PenumbraError
from penumbra.workflow import plan
from penumbra.workflow.contract import Contract
from penumbra.workflow.execute import rules, run, snakemake


def repro(contract: Contract, targets: Sequence[str], dry: bool) -> None:
    """Run what DVC calls changed, wave by wave, and record it with DVC; then tell Snakemake what is clean.

    A wave is every changed stage with nothing changed before it. Its stages run in parallel and are recorded before the next
    wave is chosen, so a stage whose inputs come out with equal bytes does not run: Snakemake alone would run it.

    Raises:
        PenumbraError: no such stage, or a stage failed; what was finished before is recorded.
    """
    from dvc.repo import Repo

    for name in targets:
        contract.entry(*name.partition("@")[::2])
    with Repo() as repo:
        if dry:
            return print(plan.table(plan.plan(repo, targets)))
        while wave := _wave(repo, targets):
            print(f"running {', '.join(wave)}", flush=True)
            if pending := [name for name in wave if not _restored(repo, name)]:
                run(contract, pending)
                for name in pending:
                    repo.commit(name, force=True, relink=False)
            repo._reset()
        _agree(contract, {each.name for each in plan.plan(repo)})


def _wave(repo: Any, targets: Sequence[str]) -> list[str]:
    """The changed stages with nothing changed before them."""
    from networkx import descendants

    graph = repo.index.graph
    changed = [stage for stage in plan.ordered(repo, targets) if plan.changes(stage)]
    return [stage.addressing for stage in changed if not descendants(graph, stage).intersection(changed)]


def _restored(repo: Any, name: str) -> bool:
    """Whether DVC's run cache had the result."""
    from dvc.stage.cache import RunCacheNotFoundError

    (stage,) = repo.stage.collect(name)
    with repo.lock:
        try:
            repo.stage_cache.restore(stage)
            stage.save()
            stage.dump(update_pipeline=False)
        except RunCacheNotFoundError:
            return False
    return True


def _agree(contract: Contract, changed: set[str]) -> None:
    """Record with Snakemake, too, that every stage is up to date that DVC calls so."""
    clean = [entry for name, entry in contract.stages.items() if name not in changed]
    if not clean:
        return
    command = snakemake("--touch", "--forceall", "--allowed-rules", *rules(clean), "--", *(entry.outputs[0] for entry in clean))
    if subprocess.run(command, capture_output=True).returncode:
        raise PenumbraError("Snakemake could not record what is up to date. `snakemake -n` says why; DVC's record is complete.")
