"""The stage `code`: code.json, what each stage depends on beside data and its own parameters.

For each stage: `code`, the digest of all that its program can run; `libraries`, the versions of those that it calls, and the container
image, if PENUMBRA_IMAGE names one; `inherited`, the parameters that it has from the section it is `like`, or from one that params.yaml
may leave out (`infer`); and `files`, what lies where its parameters point to, outside of the repository or in it. Other stages name their
entry as a parameter, so DVC runs again exactly those whose entry changed.
"""

import functools
import hashlib
import json
import os
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from penumbra.artifacts.files import replace
from penumbra.errors import PenumbraError
from penumbra.experiment.differences import PLACES, taken_over
from penumbra.workflow.contract import CODE, Contract, Entry, versions
from penumbra.workflow.digest import Code, Meaning
from penumbra.workflow.outside import digests

READS = ("prepare", "pretrain", "extract", "synthesize", "filter", "grid")  # steps whose parameters name files; so does benchmark's section
SOURCE, KEPT = Path("src"), Path(".penumbra/meanings.json")
IMAGE = "PENUMBRA_IMAGE"


def entries(contract: Contract) -> dict[str, Any]:
    """The content of code.json as it would be written now.

    Raises:
        PenumbraError: a library is not installed, or PENUMBRA_IMAGE is no name.
    """
    found: dict[str, Any] = {}
    programs = {entry.name: contract.program(entry) for entry in contract.stages.values() if entry.code}
    meanings = _meanings(programs.values())
    for entry in contract.stages.values():
        if not entry.code:
            continue
        place = found
        *parents, leaf = entry.key.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[leaf] = _described(meanings[programs[entry.name]], _inherited(contract, entry), _files(contract, entry))
    return found


def write(content: dict[str, Any]) -> None:
    """Write code.json, unless it says the same."""
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    if not CODE.exists() or CODE.read_text(encoding="utf-8") != text:
        with replace(CODE) as temporary:
            temporary.write_text(text, encoding="utf-8")


def checked(contract: Contract, entry: Entry) -> dict[str, Any]:
    """The entry of a stage in code.json, which must be true.

    Raises:
        PenumbraError: the code, or the version of a library, is not the one in code.json.
    """
    try:
        recorded: Any = json.loads(CODE.read_text(encoding="utf-8"))
        for key in entry.key.split("."):
            recorded = recorded[key]
    except (OSError, ValueError, KeyError, TypeError):
        raise PenumbraError(f"{CODE}: has no entry for {entry.name}. Run `penumbra repro`, or `dvc repro code`.") from None
    program = contract.program(entry)
    now = _described(_meanings([program])[program], _inherited(contract, entry), _files(contract, entry))
    recorded_versions, found = versions(recorded), versions(now)
    if (was := recorded_versions.pop("image", "none")) != (image := found.pop("image", "none")):
        raise PenumbraError(f"{CODE}: the container image is {image} instead of {was}. Set {IMAGE} to that one, or run `penumbra repro`.")
    if wrong := [f"{name} {found[name]} instead of {was}" for name, was in recorded_versions.items() if found.get(name, was) != was]:
        raise PenumbraError(f"{CODE}: installed is {', '.join(wrong)}. Run `make setup`, or `dvc repro --force code` to go on with these.")
    were, files = (each.get("files", {}) for each in (recorded, now))
    if wrong := [path for path in were.keys() | files.keys() if were.get(path) != files.get(path)]:
        raise PenumbraError(f"{entry.name}: {min(wrong)} has changed since {CODE} was written. Run `penumbra repro`.")
    if now != recorded:
        raise PenumbraError(f"{CODE}: the code of {entry.name} has changed since it was written. Run `penumbra repro`, or `dvc repro`.")
    return recorded


def _meanings(programs: Iterable[str]) -> dict[str, Meaning]:
    """What each program means. Kept beside size and time of all source files: reading these for every program takes a second."""
    files = sorted(path for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".pyc")
    state = hashlib.sha256("".join(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}\n" for path in files).encode()).hexdigest()
    kept = _kept(state)
    wanted = dict.fromkeys(programs)
    if missing := [program for program in wanted if program not in kept]:
        code = Code(SOURCE)
        kept |= {program: code.program(program) for program in missing}
        rows = {program: [meaning.digest, sorted(meaning.libraries)] for program, meaning in kept.items()}
        with replace(KEPT) as temporary:
            temporary.write_text(json.dumps({"state": state, "programs": rows}), encoding="utf-8")
    return {program: kept[program] for program in wanted}


def _kept(state: str) -> dict[str, Meaning]:
    try:
        content = json.loads(KEPT.read_text(encoding="utf-8"))
        rows = content["programs"] if content["state"] == state else {}
        return {program: Meaning(digest, frozenset(libraries)) for program, (digest, libraries) in rows.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


@functools.cache
def installed(name: str) -> str:
    """The version of a distribution without its local part: torch 2.13.0+cpu and +cu130 are one version.

    Raises:
        PenumbraError: it is not installed.
    """
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        raise PenumbraError(f"{name} is not installed. Run `make setup`.") from None


def _described(meaning: Meaning, inherited: dict[str, Any], files: dict[str, str]) -> dict[str, Any]:
    libraries = [f"{name} {installed(name)}" for name in sorted(meaning.libraries)]
    found = {"code": meaning.digest, "libraries": ", ".join([*libraries, *_image()])}
    return found | ({"inherited": inherited} if inherited else {}) | ({"files": files} if files else {})


def _image() -> list[str]:
    """The container image in which stages run, by the digest that the user has given it: more than the libraries may differ there."""
    name = os.environ.get(IMAGE, "")
    if re.search(r"[\s,]", name):
        raise PenumbraError(f"{IMAGE}: {name!r} must have neither spaces nor commas. Give the digest of the image, such as sha256:1f0c.")
    return [f"image {name}"] if name else []


def _files(contract: Contract, entry: Entry) -> dict[str, str]:
    """Digests of the files and folders that the parameters of a stage name, by path."""
    params = contract.params(entry).plain()
    if entry.step == "benchmark":
        params = {"benchmark": params["benchmark"]}
    return digests(params) if entry.step in (*READS, "benchmark") else {}


def _inherited(contract: Contract, entry: Entry) -> dict[str, Any]:
    places = [tuple(key.split(".")) for key in entry.params]
    found = {".".join(place): taken_over(contract.given, place) for place in places if place[:-1] in PLACES}
    return next((values for values in found.values() if values), {}) | contract.experiment.unsaid(entry.step, entry.item)
