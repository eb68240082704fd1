"""What the commands `penumbra` and `dvc` are in a miniature: steps that write digests of what they declare.

A step's output depends on its data, parameters and library versions but not on its code, so an edit of code reruns the stages
whose program it is part of, and nothing because of changed bytes. Of a folder a step reads what stages write there, and no more.
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from penumbra.artifacts.files import replace
from penumbra.stage import Stage
from penumbra.workflow import code, contract, execute
from penumbra.workflow.repository import sparing

BLOCKS = [f"block-{index}" for index in range(4)]


def step(stage: Stage) -> None:
    """What runs in place of every step: real blocks and scratch, outputs that are digests, a line in a log for each of both."""
    _count("devices", f"{_name(stage)}={os.environ.get('CUDA_VISIBLE_DEVICES')}")
    with_blocks = stage.step in ("synthesize", "train", "infer", "score")
    for block in stage.todo(BLOCKS) if with_blocks else []:
        if os.environ.get("MINIATURE_SLOW", stage.name) == stage.name:
            time.sleep(float(os.environ.get("MINIATURE_UNIT_SECONDS", 0)))
        _wait()
        if os.environ.get("MINIATURE_FAILS") in (block, f"{stage.name}/{block}"):
            raise RuntimeError(f"{block} of {stage.name} fails")
        with replace(stage.scratch / block) as temporary:
            temporary.write_text(block)
        _count("blocks", f"{_name(stage)}/{block}")
    if stage.part is not None:
        return
    if stage.step == "equip":  # its recipes are read by the contract
        from penumbra.equip.step import main as equip

        equip(stage)
    else:
        _write(stage, [(stage.scratch / block).read_text() for block in BLOCKS if with_blocks])
    stage.finish()
    _count("runs", _name(stage))


def _write(stage: Stage, blocks: list[str]) -> None:
    content = {str(path): digest(path, _made()) for path in stage.reads.values()}
    text = json.dumps([stage.provenance, content, blocks], sort_keys=True)
    for name, path in stage.writes.items():
        files = [path] if path.suffix else [path / "config.json", path / "model.safetensors"]
        for file in files:
            other = os.environ.get("MINIATURE_OTHER_BYTES") == name  # as if the sources of prepare had changed
            value = hashlib.sha256(f"{name}{file.name}{text}{other or ''}".encode()).hexdigest()
            with replace(file) as temporary:  # a recipe may hold the file by another name
                temporary.write_text(json.dumps({"digest": value}) if file.suffix == ".json" else f"x,y\n0,{value}\n")


def _name(stage: Stage) -> str:
    """DVC's name of a stage."""
    return contract.load().of(stage.step, stage.item).name


def _made() -> set[str]:
    return {output for entry in contract.load().stages.values() for output in entry.outputs}


def digest(path: Path, made: set[str] | None = None) -> str:
    """Digest of a file, or of the files of a folder: of one that several stages write into, those of `made`."""
    if not path.is_dir():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    if made and str(path) not in made and not str(path).startswith("data/recipes/"):
        files = [file for file in files if not made.isdisjoint(map(str, (file, *file.parents)))]
    return hashlib.sha256(b"".join(f"{file.relative_to(path)}".encode() + file.read_bytes() for file in files)).hexdigest()


def _wait() -> None:
    """Say that a block has begun and wait for the file MINIATURE_GATE, where one is named: a test does what it must in between."""
    if gate := os.environ.get("MINIATURE_GATE"):
        _count("waiting", gate)
        while not Path(gate).exists():
            time.sleep(0.02)


def _count(kind: str, line: str) -> None:
    with open(os.environ["MINIATURE_LOG"] + f".{kind}", "a") as log:
        log.write(line + "\n")


def installed(version: Any) -> Any:
    """`importlib.metadata.version` with other answers for the libraries of MINIATURE_VERSIONS, such as "jinja2=9"."""
    others = dict(each.split("=") for each in os.environ.get("MINIATURE_VERSIONS", "").split())
    return lambda name: others.get(name) or version(name)


def main() -> None:
    """The `penumbra` command of a miniature."""
    import penumbra.cli as cli

    cli.importlib = SimpleNamespace(import_module=lambda name: SimpleNamespace(main=step))
    code.version = installed(code.version)
    if os.environ.get("MINIATURE_CACHE_IS_FULL"):
        import dvc.output

        dvc.output.otransfer = lambda *given, **options: None  # DVC logs what failed, and goes on
    execute.RECORD_SECONDS = float(os.environ.get("MINIATURE_RECORD_SECONDS", execute.RECORD_SECONDS))
    cli.main()


def dvc() -> None:
    """The `dvc` command of a miniature."""
    from dvc.cli import main

    with sparing():
        sys.exit(main())
