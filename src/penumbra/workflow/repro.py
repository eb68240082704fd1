"""`penumbra repro`: the DAG by Snakemake, in parallel, in agreement with DVC before and after."""

import hashlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from penumbra.artifacts.files import replace
from penumbra.errors import PenumbraError
from penumbra.workflow import code, commit, cost, execute, plan, ready, receipt
from penumbra.workflow.alone import alone
from penumbra.workflow.contract import CODE, CONTRACT, PARAMETERS, Contract, Entry, parts
from penumbra.workflow.reasons import DATA, OUTPUT, PARAMETER, reasons
from penumbra.workflow.repository import opened

SHOWN = 12  # names of stages that run
LOCK_SECONDS = 10.0  # between looks at a lock that another process holds
AGREED = Path(".penumbra/agreed")  # the state of all files when both engines last agreed


def repro(contract: Contract, targets: Sequence[str], dry: bool) -> None:
    """Run what DVC calls changed and record it with DVC; then tell Snakemake what is clean.

    Wave by wave: a wave is every planned stage with nothing planned before it. Its stages run in parallel and are recorded before
    the next wave begins, so a stage whose inputs come out with equal bytes does not run: Snakemake alone would run it. Stages
    that run whatever comes out, as all do after a clone, do not wait for waves: Snakemake has them in one go.

    Raises:
        PenumbraError: no such stage, another process is at this, something that a stage needs is missing, or a stage failed; what was
            finished is recorded.
    """
    targets = [contract.entry(name).name for name in targets]
    with nullcontext() if dry else alone(), opened() as repo:
        known = [CONTRACT.as_posix(), *targets]
        meant = code.entries(contract)
        if not dry:
            _write_code(contract, repo, meant)
        planned = plan.plan(repo, known, code=meant)
        wanted = {stage.addressing for stage in plan.ordered(repo, targets)}
        chosen = [each for each in planned if each.name in wanted]
        if dry:
            return print(plan.table(plan.with_cached(repo, chosen)))
        ready.check(contract, [each.name for each in plan.with_cached(repo, chosen) if not each.cached])
        _run_all(contract, repo, chosen)
        if chosen:
            cost.gather(contract)
        changed = {each.name for each in planned} - wanted
        _agree(contract, {stage.name for stage in plan.ordered(repo, known) if stage.addressing not in changed})


def _write_code(contract: Contract, repo: Any, meant: dict[str, Any]) -> None:
    """Have code.json say what the code means, and record that: every other stage is planned by it."""
    stage = next(filter(plan.writes_code, repo.index.stages))
    execute.write_code(contract, meant)
    if reasons(stage):
        commit.commit([stage])


def _run_all(contract: Contract, repo: Any, planned: Sequence[plan.Planned]) -> None:
    stages = {stage.addressing: stage for stage in repo.index.stages}
    graph = repo.index.graph
    before = {stage.addressing: {each.addressing for each in graph.successors(stage)} for stage in graph}
    left = {each.name: each for each in planned}
    while left:
        wave = [name for name in left if not before[name] & left.keys()]
        due = [name for name in wave if left[name].reasons or reasons(stages[name])]
        left = {name: each for name, each in left.items() if name not in wave}
        made = _make(contract, [stages[name] for name in due], [stages[name] for name in certain(stages, left, before, due)]) if due else []
        left = {name: each for name, each in left.items() if stages[name] not in made}


def certain(stages: Mapping[str, Any], left: Mapping[str, plan.Planned], before: Mapping[str, set[str]], due: Sequence[str]) -> list[str]:
    """The stages that will run whatever bytes those come to that are due now, and these.

    They follow on them, and on nothing that may not run; and nothing can bring their results back: their code or libraries have
    changed, they never ran, or DVC's cache lacks what they wrote. Other parameters may have been set back to what once ran.

    Args:
        stages: DVC's, by name.
        left: the planned stages that are not due, each after what it needs.
        before: the stages that a stage follows.
        due: names of stages.
    """
    found = list(due)
    for name, each in left.items():
        follows = before[name] & set(found) and before[name] & left.keys() <= set(found)
        changed = any(reason.kind not in (DATA, OUTPUT, PARAMETER) for reason in each.reasons)
        if follows and (changed or each.reasons and not stages[name].outs_cached()):
            found.append(name)
    return found


def _make(contract: Contract, due: Sequence[Any], sure: Sequence[Any]) -> Sequence[Any]:
    """Have the outputs of DVC stages, from the run cache or by running them, and record them.

    Args:
        due: follow nothing unfinished.
        sure: these, and those that will run after them in any case.

    Returns:
        The stages that are done.
    """
    restored = [stage for stage in due if commit.restored(stage)]
    if restored:
        print(f"restored {_listed([stage.name for stage in restored])}", flush=True)
        with restored[0].repo.lock:
            commit.write_locks(restored)
    pending = [stage for stage in due if stage not in restored]
    if not restored:
        pending = list(sure)
    if not pending:
        return restored
    _run(contract, pending)
    return [*restored, *pending]


def _run(contract: Contract, pending: Sequence[Any]) -> None:
    """Run stages with Snakemake, and record each once a minute and at the end.

    Raises:
        PenumbraError: a stage failed, or cannot be recorded.
    """
    from dvc.lock import LockError

    execute.snakemake()  # whether there is such a profile, before anything is touched
    print(f"running {_listed([stage.name for stage in pending])}", flush=True)
    with pending[0].repo.lock:
        for stage in pending:
            receipt.discard(stage.name)  # of an earlier run
            if any(out.exists and not os.access(out.fs_path, os.W_OK) for out in stage.outs):
                stage.remove_outs()  # links to the cache are read-only, which Snakemake refuses; others it removes as jobs begin
    records = _Records(contract, pending)

    def meanwhile() -> None:
        with suppress(LockError):  # another DVC is at work: a minute later
            records.update()

    failure = ""
    try:
        execute.run(contract, [stage.name for stage in pending], meanwhile)
    except PenumbraError as error:
        failure = str(error)
    finally:
        _patiently(records.update)
    lines = [fault for fault in records.faults.values() if fault not in failure] + ([failure] if failure else [])
    if lines:
        raise PenumbraError("\n".join(lines))


class _Records:
    """What has been recorded of stages that run: those whose job left a receipt, if nothing that they depend on has changed since."""

    def __init__(self, contract: Contract, pending: Sequence[Any]):
        self.faults: dict[str, str] = {}
        self._contract = contract
        self._pending = pending
        self._seen: set[str] = set()

    def update(self) -> None:
        """Record the stages that have come to their end since the last time."""
        new = [stage for stage in self._pending if stage.name not in self._seen and receipt.path(stage.name).exists()]
        new = [stage for stage in new if all(out.exists for out in stage.outs)]
        self.faults |= commit.commit(new, lambda stage: receipt.fault(self._contract.stages[stage.name]))
        self._seen |= {stage.name for stage in new}
        print(f"{len(self._seen - self.faults.keys())} of {len(self._pending)} stages are done", flush=True)


def _patiently(record: Callable[[], None]) -> None:
    """Record, and wait for as long as another process holds DVC's lock: what has run for hours is not to be lost for that."""
    from dvc.lock import LockError

    while True:
        try:
            return record()
        except LockError:
            print("waiting for another DVC to end, to record what is done", file=sys.stderr, flush=True)
            time.sleep(LOCK_SECONDS)


def _listed(names: Sequence[str]) -> str:
    """The names, or of very many the number for each step."""
    if len(names) <= SHOWN:
        return ", ".join(names)
    steps = Counter(parts(name)[0] for name in names)
    return f"{len(names)} stages: " + ", ".join(step if count == 1 else f"{step} ({count})" for step, count in steps.items())


def _agree(contract: Contract, names: set[str]) -> None:
    """Record with Snakemake, too, that these stages are up to date, as DVC calls them."""
    clean = [entry for name, entry in contract.stages.items() if name in names]
    if not clean:
        return
    if any(not os.access(path, os.W_OK) for entry in clean for path in entry.outputs):
        return print("Outputs are read-only links to DVC's cache. Snakemake alone refuses these; dvc and penumbra do not.", file=sys.stderr)
    if Path(".snakemake/metadata").exists() and AGREED.exists() and AGREED.read_text() == _state(clean):
        return
    allowed = execute.rules(clean)
    command = execute.snakemake("--touch", "--forceall", "--allowed-rules", *allowed, "--", *(entry.outputs[0] for entry in clean))
    if subprocess.run(command, capture_output=True).returncode:
        raise PenumbraError("Snakemake could not record what is up to date. `snakemake -n` says why; DVC's record is complete.")
    with replace(AGREED) as temporary:
        temporary.write_text(_state(clean))


def _state(entries: Sequence[Entry]) -> str:
    """Digest of what Snakemake looks at: when the files of the stages were changed, and what its rules and parameters say."""
    rules = [
        Path("Snakefile"),
        CONTRACT,
        PARAMETERS,
        CODE,
        *sorted(Path("rules").iterdir()),
        *sorted(Path("profiles").rglob("*.yaml")),
    ]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in rules))
    digest.update(f"{execute.snakemake()}{[entry.name for entry in entries]}".encode())
    for path in sorted({path for entry in entries for path in (*entry.data, *entry.outputs)}):
        stat = os.stat(path)
        digest.update(f"{path} {stat.st_mtime_ns} {stat.st_size}".encode())
    return digest.hexdigest()
