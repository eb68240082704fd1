"""What files hold, without reading them again: equal size and times tell that a file is as it was, else its content is compared.

Of each thing that was looked at an index is kept in `.penumbra/files`: a line of JSON, then a record for each file. While names,
sizes and times of all files are those of the last look, the first line answers; else the files whose own size or times differ are
read. An index that is cut or damaged is as good as none: everything is read again.
"""

import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from penumbra.artifacts.files import hash_of, replace

INDEX = Path(".penumbra/files")
RACE = 2e9  # ns before it is read in which a file may have changed and change again, all at the same time by its clock
BLOCK = 4096  # files that are read between two writes of records
PATIENCE = 10.0  # seconds until a person is told what takes so long
HEAD = 256  # bytes of the first line
MISSING, OTHER, UNREADABLE = b"missing", b"no file", b"unreadable"


class File(NamedTuple):
    """A file as it looks from outside: its name below what is looked at, and its size and times, or why it has none."""

    name: bytes
    facts: bytes


class _Record(NamedTuple):
    """A file and its content: 32 hex digits, or why there is none."""

    name: bytes
    facts: bytes
    content: bytes


def facts(path: bytes) -> bytes:
    """Size and times of a file. The time of its last change of any kind counts, too: no program can set that one."""
    try:
        found = os.stat(path)
    except OSError:
        return MISSING
    return b"%d %d %d" % (found.st_size, found.st_mtime_ns, found.st_ctime_ns) if stat.S_ISREG(found.st_mode) else OTHER


def order(name: bytes) -> bytes:
    """Names sorted by this stand as a walk meets them: what lies in a folder before the next name beside it."""
    return name.replace(b"/", b"\0")


def digest(label: str, root: str, look: Callable[[], Iterable[File]]) -> str:
    """Sixteen hex digits of the names and contents of files; the same wherever they lie and however old they are.

    Args:
        label: names what is looked at, for its index and for a person.
        root: where names start; a file with an empty name is this itself.
        look: the files in `order`; called twice where something has changed.
    """
    place = INDEX / hashlib.blake2b(os.fsencode(label), digest_size=8).hexdigest()
    state = hashlib.blake2b(digest_size=16)
    for file in look():
        state.update(b"%b\0%b\0" % file)
    head, records = _kept(place)
    if head.get("state") == state.hexdigest():
        return head["digest"]
    return _renewed(place, label, os.fsencode(root), look(), records)


def _renewed(place: Path, label: str, root: bytes, files: Iterable[File], records: Iterator[_Record]) -> str:
    """Read what differs from the records, and write the index anew."""
    state, found, check = (hashlib.blake2b(digest_size=size) for size in (16, 8, 16))
    began, told, settled = time.monotonic(), False, True
    pairs = _matched(files, records)
    with replace(place) as temporary, temporary.open("wb") as out, ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        out.write(b" " * HEAD)
        while block := list(islice(pairs, BLOCK)):
            newest = time.time_ns() - RACE
            contents = pool.map(lambda file: _content(root, file), [file for file, known in block if not known])
            for (name, its), known in block:
                content = known or next(contents)
                state.update(b"%b\0%b\0" % (name, its))
                found.update(b"%b\0%b\0" % (name, content))
                if content == UNREADABLE or its not in (MISSING, OTHER) and int(its.rpartition(b" ")[2]) > newest:
                    its, settled = b"", False  # to be read again the next time
                record = b"%b\t%b\t%b\0" % (content, its, name)
                check.update(record)
                out.write(record)
            if not told and time.monotonic() - began > PATIENCE:
                told = True
                print(f"{label}: its files are read, to know them again by size and time", file=sys.stderr, flush=True)
        out.seek(0)
        out.write(_head(state.hexdigest() if settled else "", found.hexdigest(), check.hexdigest()))
    return found.hexdigest()


def _matched(files: Iterable[File], records: Iterator[_Record]) -> Iterator[tuple[File, bytes]]:
    """Each file with its content as recorded, or empty where that is unknown."""
    record = next(records, None)
    for file in files:
        while record and order(record.name) < order(file.name):
            record = next(records, None)
        yield file, record.content if record and record[:2] == file else b""


def _content(root: bytes, file: File) -> bytes:
    if file.facts in (MISSING, OTHER):
        return file.facts
    try:
        return hash_of(os.path.join(root, file.name) if file.name else root, "blake2b")[:32].encode()
    except OSError:
        return UNREADABLE


def _head(state: str, found: str, check: str) -> bytes:
    sealed = hashlib.blake2b(f"{state} {found} {check}".encode(), digest_size=8).hexdigest()
    return json.dumps({"state": state, "digest": found, "records": check, "seal": sealed}).encode().ljust(HEAD - 1) + b"\n"


def _kept(place: Path) -> tuple[dict[str, str], Iterator[_Record]]:
    """The first line of an index, and its records, which are read when they are asked for; nothing of one that is damaged."""
    try:
        with place.open("rb") as file:
            line = file.read(HEAD)
        head = json.loads(line)
        whole = line == _head(head["state"], head["digest"], head["records"])
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    return (head, _records(place, head["records"])) if whole else ({}, iter(()))


def _records(place: Path, check: str) -> Iterator[_Record]:
    content = place.read_bytes()[HEAD:]
    if hashlib.blake2b(content, digest_size=16).hexdigest() == check:
        for record in content.split(b"\0")[:-1]:
            found, its, name = record.split(b"\t", 2)
            yield _Record(name, its, found)
