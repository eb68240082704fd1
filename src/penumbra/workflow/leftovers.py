"""What stages left in data/ that are no more: taken away, since other stages depend on all that lies in a folder there.

Only what DVC's cache has is taken away. A stage that comes back has it from there.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from penumbra.workflow.alone import remove
from penumbra.workflow.contract import Contract, meet
from penumbra.workflow.repository import opened

LOCK, DATA = Path("dvc.lock"), "data/"


def clear(contract: Contract) -> list[str]:
    """Take away the outputs of stages of dvc.lock that dvc.yaml has no more, and return their paths."""
    text = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    if set(re.findall(r"^  (\S+):$", text, re.MULTILINE)) <= contract.stages.keys():
        return []
    stages = (YAML(typ="safe").load(text) or {}).get("stages", {})
    kept = [path for entry in contract.stages.values() for path in entry.outputs]
    outs = [out for name, stage in stages.items() if name not in contract.stages for out in stage.get("outs", [])]
    outs = [out for out in outs if out["path"].startswith(DATA) and not any(meet(out["path"], path) for path in kept)]
    outs = [out for out in outs if Path(out["path"]).exists()]
    if not outs:
        return []
    with opened() as repo:
        known = [out["path"] for out in outs if _in_cache(repo.cache.local, out)]
    remove(map(Path, known))
    return known


def _in_cache(cache: Any, out: Mapping[str, Any]) -> bool:
    """Whether the cache has what lies at the path of an output, which is what the stage wrote."""
    path, md5 = Path(out["path"]), out.get("md5")
    if md5 is None or not (stored := Path(cache.oid_to_path(md5))).exists():
        return False
    if not path.is_dir():
        return _md5(path) == md5
    listed = {each["relpath"]: each["md5"] for each in json.loads(stored.read_bytes())}
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")}
    there = all(Path(cache.oid_to_path(each)).exists() for each in listed.values())
    return there and {name: _md5(file) for name, file in files.items()} == listed


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
