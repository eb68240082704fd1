"""What dvc.lock records of a detector: the stages that made it, and whether the benchmark's tables are about it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penumbra.artifacts.files import hash_of
from penumbra.errors import PenumbraError

LOCK, TABLES = "dvc.lock", "reports/tables"
MARKERS = (".snakemake_timestamp", ".gitkeep")  # which .dvcignore keeps out


class Lock:
    """The stages of dvc.lock as they stood when it was last written.

    Args:
        root: of the repository; without dvc.lock nothing is recorded.

    Raises:
        PenumbraError: dvc.lock cannot be read.
    """

    def __init__(self, root: Path):
        self.root = root
        self._stages = {name: _entry(entry) for name, entry in _read(root / LOCK).items()}
        self._makers = {path: name for name, stage in self._stages.items() for path in stage["outs"]}

    def made(self, detector: str) -> dict[str, Any] | None:
        """The stages that made the outputs of a detector, each {deps, params, outs}, with MD5 by path; None if none or others did.

        That is, if the files of data/detectors and data/outputs, or the recipe, are not those that dvc.lock names.
        """
        last = self._stages.get(f"infer@{detector}")
        if last is None:
            return None
        files = last["outs"] | {path: md5 for path, md5 in last["deps"].items() if path != "data/images"}  # these may be millions
        if not all(self._same(path, md5) for path, md5 in files.items()):
            return None
        found: dict[str, Any] = {}
        waiting = [f"infer@{detector}"]
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            found[name] = self._stages[name]
            for path, md5 in found[name]["deps"].items():
                if self._recorded(path, md5) is False:
                    return None  # the stage saw other files than are recorded now
                waiting += {maker for out, maker in self._makers.items() if out == path or out.startswith(f"{path}/")}
        return {name: found[name] for name in self._stages if name in found}

    def measured(self, detector: str) -> bool:
        """Whether reports/tables are there and of the outputs that `made` knows."""
        infer, score, benchmark = (self._stages.get(name) for name in (f"infer@{detector}", f"score@{detector}", "benchmark"))
        if infer is None or score is None or benchmark is None:
            return False
        links = [score["deps"].get(path) == md5 for path, md5 in infer["outs"].items()]
        links.append(self._recorded("data/scores", benchmark["deps"].get("data/scores", "")) is True)
        return all(links) and self._same(TABLES, benchmark["outs"].get(TABLES, ""))

    def _recorded(self, path: str, md5: str) -> bool | None:
        """Whether a path, as its makers left it, has this MD5; None where no stage makes it, or makes folders in it."""
        if path in self._makers:
            return self._stages[self._makers[path]]["outs"][path] == md5
        inside = {out: self._stages[maker]["outs"][out] for out, maker in self._makers.items() if out.startswith(f"{path}/")}
        if not inside or any(value.endswith(".dir") for value in inside.values()):
            return None
        return _of_directory({out.removeprefix(f"{path}/"): value for out, value in inside.items()}) == md5

    def _same(self, path: str, md5: str) -> bool:
        """Whether what lies on disk has this MD5, as DVC counts it."""
        place = self.root / path
        if not place.is_dir():
            return place.is_file() and hash_of(place, "md5") == md5
        files = (file for file in place.rglob("*") if file.is_file() and file.name not in MARKERS)
        return _of_directory({file.relative_to(place).as_posix(): hash_of(file, "md5") for file in files}) == md5


def _read(path: Path) -> Mapping[str, Any]:
    from ruamel.yaml import YAML, YAMLError

    if not path.exists():
        return {}
    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))["stages"]
    except (YAMLError, ValueError, KeyError, TypeError) as error:
        raise PenumbraError(f"{path}: cannot be read ({str(error).splitlines()[0]}). Run `penumbra doctor`.") from error


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    hashes = {key: {file["path"]: file.get("md5", "") for file in entry.get(key, [])} for key in ("deps", "outs")}
    return {"deps": hashes["deps"], "params": dict(entry.get("params", {})), "outs": hashes["outs"]}


def _of_directory(files: Mapping[str, str]) -> str:
    """DVC's MD5 of a folder with these MD5 by path."""
    listed = [{"md5": files[path], "relpath": path} for path in sorted(files)]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"
