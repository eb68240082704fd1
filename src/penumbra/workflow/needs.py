"""What a run needs that no stage makes: every file that parameters name, whether it is there, where it comes from and its licence."""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from penumbra.artifacts.files import hash_of
from penumbra.pretrain.params import PACKAGE
from penumbra.workflow import index, outside
from penumbra.workflow.contract import Contract
from penumbra.workflow.outside import Named

PUBLISHED = Path(__file__).with_name("published.csv")  # as docs/published.md says
HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(@\S+)?")
ON_HUB = ("pipeline", "model")  # keys that may also hold a hub id
NO_PATHS = (("negatives", "vocabulary"), ("control", "pipeline"))  # keys of these names whose values are words of ours
UNKNOWN = ("", "not known here; look before you use it", "")
VETOES = ("vetoes of this project", "that of the project", "")


@dataclass(frozen=True)
class Need:
    """Something on disk, or on the hub, that a stage reads.

    Attributes:
        key: of params.yaml.
        there: whether it can be read, or fetched.
        found: what is there, in words; or what is missing, with the remedy.
        what, licence, origin: of a published file.
    """

    key: str
    named: Named
    there: bool
    found: str
    what: str
    licence: str
    origin: str


def needs(contract: Contract, stages: Iterable[str]) -> Iterator[Need]:
    """Everything that the named stages read from outside, in the order of params.yaml."""
    names = set(stages)
    for key, named in outside.named(contract.experiment.model_dump()):
        step, *rest = key.split(".")
        leaf = rest[-1]
        stage = step if step in ("prepare", "benchmark") else f"{step}@{rest[0]}" if leaf == "veto" else f"{step}-{rest[0]}@{rest[1]}"
        if stage not in names or named.path in (PACKAGE, "world") or tuple(rest[:1] + rest[2:]) in NO_PATHS:
            continue
        there, found = _found(leaf, named)
        yield Need(key, named, there, found, *_published(key, named.path))


def _found(leaf: str, named: Named) -> tuple[bool, str]:
    path = named.path
    if not os.path.exists(path):
        if leaf in ON_HUB and HUB.fullmatch(path):
            return True, "on the hub; fetched when the stage runs"
        return False, "does not exist. Correct the path or put the file there."
    if leaf in ON_HUB and not os.path.isdir(path):
        return False, "is a file, and a folder is needed in the layout of diffusers or transformers."
    if leaf not in (*ON_HUB, "path") and not os.path.isfile(path):
        return False, "is a folder, and a file is needed."
    if not os.access(path, os.R_OK | (os.X_OK if os.path.isdir(path) else 0)):
        return False, "cannot be read. Change its owner or mode."
    there, counted = _counted(named)
    listed = named.root is not None and os.path.isfile(path)
    return there, f"{counted}; SHA-256 of the list {hash_of(path, 'sha256')}" if listed else counted


def _counted(named: Named) -> tuple[bool, str]:
    """How many files belong to it, and their size."""
    files = missing = size = 0
    for file in outside.files(named):
        if file.facts in (index.MISSING, index.OTHER):
            missing += 1
        else:
            files, size = files + 1, size + int(file.facts.split()[0])
    lost = f", {missing:,} missing" if missing else ""
    return files > 0, f"{files:,} file{'s' if files != 1 else ''}, {readable(size)}{lost}" if files else "holds no files."


def readable(size: float) -> str:
    """Bytes for a person: 1.3 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, "TiB"
    return f"{size:.0f} {unit}" if unit in ("B", "KiB") else f"{size:.1f} {unit}"


def _published(key: str, path: str) -> tuple[str, str, str]:
    """What, licence and origin of a published file, by its parameter and name."""
    if key.endswith(".veto"):
        return VETOES
    with PUBLISHED.open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            if key.startswith(row["where"]) and re.search(row["match"], f"{key.removesuffix('.path')} {path}".lower()):
                return row["what"], row["licence"], row["origin"]
    return UNKNOWN
