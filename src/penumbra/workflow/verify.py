"""Hashing DVC's cache again: DVC trusts a read-only object of it, a flipped byte too."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from penumbra.artifacts.files import hash_of, replace
from penumbra.workflow.lockfiles import DAMAGED, LOCKS
from penumbra.workflow.repository import opened

FOLDER = ".dir"  # how the name of an object ends that lists a folder


@dataclass
class Object:
    """A file of the cache: the stages that wrote it, and where it lies in the working directory."""

    stages: set[str] = field(default_factory=set)
    places: list[Path] = field(default_factory=list)


def verify() -> tuple[list[str], list[str]]:
    """Hash every object of the cache that a dvc.lock names; those that are not what their name says are moved away.

    Returns:
        Lines on what is mended, as the working directory has the right content, and on what is to be made again or fetched.
    """
    from tqdm import tqdm

    mended, open_ = [], []
    with opened() as repo:

        def place(oid: str) -> Path:
            return Path(repo.cache.local.oid_to_path(oid))

        objects = _objects(place)
        present = {oid: path for oid in objects if (path := place(oid)).exists()}
        missing = sorted({stage for oid, each in objects.items() if oid not in present for stage in each.stages})
        total = sum(path.stat().st_size for path in present.values())
        with tqdm(total=total, unit="B", unit_scale=True, desc="verifying DVC's cache", leave=False) as bar:
            for oid, path in present.items():
                bar.update(path.stat().st_size)
                if hash_of(path, "md5") != oid.removesuffix(FOLDER):
                    again = _replaced(oid, path, objects[oid])
                    line = f"{path}, of {', '.join(sorted(objects[oid].stages))}, was damaged and is now in {DAMAGED}"
                    (mended if again else open_).append(f"{line}; {again or '`penumbra repro` makes it again'}.")
    if missing:
        open_.append(f"DVC's cache lacks outputs of {', '.join(missing)}: `dvc pull`, or `penumbra repro` makes them again.")
    return mended, open_


def _objects(place: Callable[[str], Path]) -> dict[str, Object]:
    """The objects of all outputs by name, files of folders too where the list of them is as it should be."""
    found: dict[str, Object] = {}

    def add(oid: str, stage: str, path: Path) -> None:
        each = found.setdefault(oid, Object())
        each.stages.add(stage)
        each.places.append(path)

    for stage, path, oid in _outputs():
        add(oid, stage, path)
        listed = place(oid)
        if oid.endswith(FOLDER) and listed.exists() and hash_of(listed, "md5") == oid.removesuffix(FOLDER):
            for file in json.loads(listed.read_bytes()):
                add(file["md5"], stage, path / file["relpath"])
    return found


def _outputs() -> Iterator[tuple[str, Path, str]]:
    """Stage, path and MD5 of each output in the cache."""
    from ruamel.yaml import YAML

    for lock in LOCKS:
        stages = YAML(typ="safe").load(lock)["stages"] if lock.exists() else {}
        for name, stage in stages.items():
            yield from ((name, Path(out["path"]), out["md5"]) for out in stage.get("outs", []) if "md5" in out)


def _replaced(oid: str, path: Path, each: Object) -> str | None:
    """Move a damaged object away; where the working directory has the right file put it in its place, and say so."""
    DAMAGED.mkdir(parents=True, exist_ok=True)
    good = next((file for file in each.places if file.is_file() and not file.samefile(path) and hash_of(file, "md5") == oid), None)
    shutil.move(path, DAMAGED / oid)
    if good is None:
        return None
    with replace(path) as temporary:
        shutil.copyfile(good, temporary)
        os.chmod(temporary, 0o444)
    return f"{good} has taken its place"
