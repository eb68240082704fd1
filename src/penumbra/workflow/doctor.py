"""`penumbra doctor`: what killed runs and a failing machine leave behind, taken away or told with its remedy."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from penumbra.artifacts.files import host, writer
from penumbra.errors import PenumbraError
from penumbra.workflow import contract, lockfiles, receipt
from penumbra.workflow.alone import remove, stray

KEPT = Path(".penumbra")
WRITTEN = (Path("data"), Path("reports"), KEPT, Path("logs"), Path(".dvc/cache"))
STALE = 600.0  # seconds without a change: a process of that number may live on another machine of this name that writes here
SPACE = 2**30  # bytes of free space that a run needs at the least


def doctor(verify: bool, mend: bool, files: bool = False) -> None:
    """Look at everything, mend what can be mended without a choice, and print a line on each thing.

    Args:
        verify: hash DVC's cache again, too.
        mend: bring back the last good dvc.lock where one was cut.
        files: look at what the experiment of params.yaml needs, too.

    Raises:
        PenumbraError: something is left for a person to do.
    """
    left = 0
    places = halves()
    for line in (*damaged(), *temporary(places)):
        print(f"mended: {line}")
    found = [*lock(mend), *folders(), *elsewhere(places)]
    if verify and not found:
        from penumbra.workflow.verify import verify as hashed

        mended, found = hashed()
        for line in mended:
            print(f"mended: {line}")
    if files and not found:
        found = experiment()
    for line in found:
        print(f"to do: {line}")
        left += 1
    if left:
        raise PenumbraError(f"{left} things are left to do." if left > 1 else "one thing is left to do.")
    print("All is well.")


def experiment() -> list[str]:
    """Tell what the experiment needs that no stage makes, what it will take, and return what keeps it from starting."""
    from penumbra.workflow import estimate, ready
    from penumbra.workflow.needs import needs
    from penumbra.workflow.twins import told, twins

    dag = contract.load()
    needed = list(needs(dag, dag.stages))
    for need in needed:
        print(f"{need.key}: {need.named.path}\n  {need.found}")
        print(f"  {need.what or 'licence'}: {need.licence}{f' ({need.origin})' if need.origin else ''}")
    if not needed:
        print("The experiment needs no file: it makes all its images and models.")
    found = list(ready.faults(dag, dag.stages, needed))
    if not found:
        given = dag.experiment.prepare.id
        for key, spec in {"id": given, "id.test": given.test}.items():
            if spec and (pairs := twins(spec, key)):
                print(f"warning: prepare.{key}: {told(pairs)}")
        print(estimate.summary(dag))
    return found


def damaged() -> Iterator[str]:
    """Remove what of .penumbra cannot be read; all of it can be made again."""
    for file in (contract.RESOLVED, *receipt.RECEIPTS.glob("*.json"), *KEPT.glob("run-*.json")):
        if file.exists():
            try:
                json.loads(file.read_bytes())
            except ValueError:
                file.unlink()
                yield f"{file} was damaged and is removed; it will be made again."


def halves() -> list[Path]:
    """What is half written and has not changed for a while."""
    places = [*Path(".").glob(".*.tmp"), *(path for folder in WRITTEN[:-1] for path in folder.rglob(".*.tmp"))]
    return [path for path in places if writer(path) and _unchanged(path)]


def temporary(places: list[Path]) -> Iterator[str]:
    """Remove those of the half-written paths that killed processes of this host left."""
    for path in stray(places):
        remove([path])
        yield f"{path}, half written by a process that has ended, is removed."


def elsewhere(places: list[Path]) -> Iterator[str]:
    """Tell those of the half-written paths that are of other hosts, whose processes cannot be asked for from here."""
    for path in places:
        if (by := writer(path)) and by.host != host():
            yield f"{path} is half written, by process {by.process} of {by.host}. If nothing runs there any more: rm -r {path}"


def _unchanged(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > STALE
    except FileNotFoundError:  # its writer has just put it into place
        return False


def lock(mend: bool) -> Iterator[str]:
    """Whether each dvc.lock, and with it dvc.yaml, can be read and is whole."""
    try:
        lockfiles.check(mend=mend)
        lockfiles.check(contract.load().stages, mend)
    except PenumbraError as error:
        yield str(error)


def folders() -> Iterator[str]:
    """Whether the folders that runs write to can be written, and have room."""
    for folder in WRITTEN:
        if folder.exists():
            try:
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError as error:
                yield f"{folder}/ cannot be written: {error.strerror}. Change its owner or mode, or what it is mounted from."
            if (free := shutil.disk_usage(folder).free) < SPACE:
                yield f"{folder}/ has {free / 2**20:.0f} MiB of free space left. Free some; `dvc gc -w` removes what no dvc.lock names."
