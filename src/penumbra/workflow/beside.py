"""Side by side in `dvc repro`, which runs one stage after the other: with a stage run others that it would run later.

Their results go into DVC's cache, under what determines them. At their turn DVC finds them there, and only checks them out.
"""

import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from penumbra.workflow import commit, devices, execute, plan, progress, ready, receipt
from penumbra.workflow.contract import Contract
from penumbra.workflow.reasons import DATA, OUTPUT, PARAMETER
from penumbra.workflow.repository import opened

PAYS = 5.0  # seconds of a stage from which others are looked for: looking takes two
LONGER = 1.25  # times what a stage takes may pass until those beside it are done
FILLED = 0.5  # of the idle cores' time others must fill, for a stage to be done whole that could be done in parts
TRIES = 5  # to have DVC's lock at the end; each waits three seconds


def run(contract: Contract, stage: str, due: progress.Run) -> None:
    """Run a stage, and with it what fits beside it.

    Args:
        due: this stage and those that this `dvc repro` may find in its cache later, as `progress.announce` has them.

    Raises:
        PenumbraError: the stage failed. If one beside it fails, DVC runs that again at its turn.
    """
    others = _others(contract, stage, due)
    if not others:
        return execute.run(contract, [stage])
    print(f"beside it: {', '.join(others)}", flush=True)
    progress.take(others)
    kept = _Kept(contract, others)
    try:
        execute.run(contract, [stage], kept.update, beside=others)
    finally:
        kept.finish()


def _others(contract: Contract, stage: str, due: progress.Run) -> list[str]:
    """What to run with a stage: as much as ends with it, on the cores that it leaves idle; each after what it needs."""
    known, free = dict(due).get(stage), execute.at_once() - 1
    if known is None or known < PAYS or free < 1:
        return []
    limit, room, ends, in_place = LONGER * known, LONGER * known * free, {}, set()
    with opened() as repo:
        stages = {each.addressing: each for each in repo.index.stages}
        planned = {each.name: each for each in plan.plan(repo, locked=False)}  # which DVC has not recorded yet, or follow on these
        for name, seconds in due:
            if name == stage or name not in planned:
                continue
            before = {each.name for each in contract.before(contract.entry(name))} & planned.keys() - in_place
            if not before and (cached := commit.recalled(stages[name])):
                in_place |= {name} if _in_place(stages[name], cached) else set()
                continue
            cost = math.inf if seconds is None else seconds
            end = cost + max((ends.get(each, math.inf) for each in before), default=0)
            if cost <= room and end <= limit and _worth_running(contract, stages[name], planned[name], bool(before)):
                ends[name] = end
                room -= cost
        entry, filled = contract.entry(stage), limit * free - room
        if execute.splits(entry) and execute.shards(stage) and filled < FILLED * known * free:
            return []
        return list(ends) if ends and _cleared(repo, [stages[name] for name in ends]) else []


def _cleared(repo: Any, stages: Sequence[Any]) -> bool:
    """Remove old outputs, as DVC does before a stage runs; False where another DVC is at work.

    They may be links to the cache: read-only, which Snakemake refuses.
    """
    from dvc.lock import LockError

    try:
        with repo.lock:
            for stage in stages:
                stage.remove_outs()
    except LockError:
        return False
    return True


def _worth_running(contract: Contract, stage: Any, planned: plan.Planned, follows: bool) -> bool:
    """Whether DVC will run a stage for certain, and would find its result in the cache.

    Args:
        follows: whether what it reads is yet to be made, so that nobody can look it up in the cache.
    """
    kinds = {reason.kind for reason in planned.reasons}
    if not kinds or not all(out.use_cache for out in stage.outs):
        return False
    if follows and stage.outs_cached() and kinds <= {DATA, OUTPUT, PARAMETER}:
        return False  # it may have run before with what comes now
    if kinds == {OUTPUT} and (contract.experiment.common.kernels != "portable" or devices.visible()):
        return False  # DVC will look for the bytes of dvc.lock alone, which may be another machine's
    return not any(ready.problems(contract, [stage.addressing]))


def _in_place(stage: Any, cached: Sequence[Any]) -> bool:
    """Whether the outputs of a stage lie there as DVC's cache has them: it has run beside another."""
    known = {out.fs_path: out.hash_info for out in cached}
    return all(out.exists and out.get_hash() == known[out.fs_path] for out in stage.outs)


class _Kept:
    """What DVC's cache has of stages that run beside another: those whose job left a receipt."""

    def __init__(self, contract: Contract, names: Sequence[str]):
        self._contract = contract
        self._left = list(names)
        self._faults: dict[str, str] = {}

    def update(self) -> None:
        """Put there what has come to its end since the last time; what cannot be done now is left for the next time."""
        from dvc.exceptions import DvcException

        if not (ended := self._ended()):
            return
        with suppress(DvcException, OSError), opened() as repo:  # another DVC is at work, params.yaml is half edited, a disk is full
            stages = [each for each in repo.index.stages if each.addressing in ended and all(out.exists for out in each.outs)]
            self._faults |= commit.cache(stages, lambda stage: receipt.fault(self._contract.entry(stage.addressing)))
            done = [each.addressing for each in stages]
            self._left = [name for name in self._left if name not in done]
            progress.have([name for name in done if name not in self._faults])

    def finish(self) -> None:
        """The same for the last time, and say what is not there."""
        for _ in range(TRIES):
            self.update()
            if not self._ended():
                break
        whys = [fault.partition(". ")[0] for fault in self._faults.values()] + [f"{name}: did not come to its end" for name in self._left]
        for why in whys:
            print(f"{why}. DVC runs it again at its turn.", file=sys.stderr, flush=True)

    def _ended(self) -> list[str]:
        return [name for name in self._left if receipt.path(name).exists()]
