"""Recording results with DVC, and having them back from its cache: what is recorded is in the cache, and dvc.lock is written whole."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from penumbra.artifacts.files import replace


def commit(stages: Sequence[Any], fault: Callable[[Any], str | None] = lambda stage: None) -> dict[str, str]:
    """What `dvc commit --force --no-relink` does, with one change of each dvc.lock.

    Args:
        stages: DVC's, whose outputs exist.
        fault: why a stage must not be recorded; asked once its files have been hashed.

    Returns:
        For each stage that was not recorded why; its outputs stay where they are.
    """
    if not stages:
        return {}
    with stages[0].repo.lock:
        faults = _cached(stages, fault)
        write_locks([stage for stage in stages if stage.name not in faults])
    return faults


def cache(stages: Sequence[Any], fault: Callable[[Any], str | None]) -> dict[str, str]:
    """Put results into DVC's cache, so that DVC restores a stage when it would run it; dvc.lock stays. Otherwise as `commit`."""
    if not stages:
        return {}
    with stages[0].repo.lock:
        return _cached(stages, fault)


def _cached(stages: Sequence[Any], fault: Callable[[Any], str | None]) -> dict[str, str]:
    faults: dict[str, str] = {}
    for stage in stages:
        stage.save(run_cache=False)
        if found := fault(stage) or _not_cached(stage):
            faults[stage.name] = found
    return faults


def _not_cached(stage: Any) -> str | None:
    """Put the outputs of a stage into the cache; DVC only logs what it could not transfer, so look whether they have come there."""
    try:
        stage.commit(relink=False)
        missing = [out.def_path for out in stage.outs if out.use_cache and out.changed_cache()]
        if not missing:
            stage.repo.stage_cache.save(stage)
            return None
        why = f"{', '.join(missing)} did not come there"
    except OSError as error:
        why = error.strerror or str(error)
    folder = stage.repo.cache.local.path
    remedy = "Nothing is recorded and the outputs are kept: free space there and run again."
    return f"{stage.name}: DVC's cache {folder} could not be written: {why}. {remedy}"


def write_locks(stages: Sequence[Any]) -> None:
    """Write what DVC stages know of themselves to their dvc.lock, each file once.

    DVC empties the file and writes it anew, which takes seconds; here it is replaced whole, so that a kill leaves the old one.
    """
    from dvc.stage.serialize import to_lockfile
    from dvc.utils.serialize import dump_yaml, load_yaml

    for path in dict.fromkeys(stage.path for stage in stages):
        lock = Path(path).with_suffix(".lock")
        content = load_yaml(lock) if lock.exists() else {"schema": "2.0"}
        known = content.setdefault("stages", {})
        for stage in (stage for stage in stages if stage.path == path):
            known.update(to_lockfile(stage))
        with replace(lock) as temporary:
            dump_yaml(temporary, content)


def restored(stage: Any) -> bool:
    """Whether DVC's cache had the result, which is now in place; nothing is recorded yet.

    Outputs on disk that differ from it are overwritten, as DVC and Snakemake overwrite them when a stage runs; but only when the
    cache is known to have all that takes their place.
    """
    from dvc.output import OutputDoesNotExistError

    with stage.repo.lock:
        if not (outs := recalled(stage)):
            return False
        stage.remove_outs()
        for out in outs:
            out.checkout()
        try:
            stage.save()
        except OutputDoesNotExistError:
            return False
    return True


def recalled(stage: Any, known: Mapping[str, Any] = MappingProxyType({})) -> list[Any]:
    """The outputs that DVC's cache has for a stage as it stands now, with their hashes; empty if it lacks them.

    DVC's own `restore(dry=True)` looks up what dvc.lock says of the inputs, not what they are.

    Args:
        stage: DVC's.
        known: outputs of other stages, by path, that will be in place of what is there now.
    """
    from dvc.dependency.base import DependencyDoesNotExistError
    from dvc.stage.cache import _can_hash
    from dvc.stage.serialize import to_single_stage_lockfile

    cache = stage.repo.stage_cache
    before = [(dep, dep.hash_info, dep.meta) for dep in stage.deps]
    recorded = all(out.hash_info for out in stage.outs) and not stage.changed_stage()
    try:
        for dep in stage.deps:
            if dep.fs_path in known:
                dep.hash_info, dep.meta = known[dep.fs_path].hash_info, known[dep.fs_path].meta
                dep.get_hash = partial(getattr, dep, "hash_info")  # DVC would look at the file, which need not be there yet
            else:
                dep.save()
        if not _can_hash(stage):
            return []
        as_recorded = recorded and all(dep.hash_info == old for dep, old, _ in before)
        content = to_single_stage_lockfile(stage) if as_recorded else cache._load(stage)
    except DependencyDoesNotExistError:
        return []
    finally:
        for dep, hash_info, meta in before:
            dep.hash_info, dep.meta = hash_info, meta
            vars(dep).pop("get_hash", None)
    made = cache._create_stage(content, wdir=stage.wdir) if content else None
    return made.outs if made and made.outs_cached() else []
