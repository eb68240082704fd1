"""`penumbra record`: accept edited docstrings, comments and layout of code without running anything."""

import ast
import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from penumbra.errors import PenumbraError
from penumbra.workflow import plan
from penumbra.workflow.commit import commit
from penumbra.workflow.contract import Contract
from penumbra.workflow.repository import opened


def record(contract: Contract, names: Sequence[str]) -> None:
    """Record with DVC the stages whose only changes are code with an unchanged syntax tree, docstrings apart.

    Args:
        contract: the contract of the repository.
        names: stages of dvc.yaml or ablations/dvc.yaml; if empty, all of dvc.yaml.

    Raises:
        PenumbraError: something else has changed too; the message names it, and nothing is recorded.
    """
    targets = [contract.entry(*name.partition("@")[::2]).address for name in names]
    with opened() as repo:
        changed = {stage: found for stage in plan.ordered(repo, targets) if (found := plan.changes(stage))}
        chosen = {stage: found for stage, found in changed.items() if not targets or stage.addressing in targets}
        real = {}
        for stage, found in chosen.items():
            code = {dep.def_path: dep for dep in stage.deps if dep.def_path.startswith("src/")}
            for reason in found:
                kind, _, rest = reason.partition(" ")
                path = rest.removesuffix(" modified")
                if kind != "code" or path not in code or not same_meaning(Path(path), code[path].hash_info.value):
                    real.setdefault(reason, stage.addressing)
        if real:
            lines = "\n".join(f"  {stage}: {reason}" for reason, stage in real.items())
            raise PenumbraError(f"not recorded, because results may differ. Run `dvc repro`.\n{lines}")
        if faults := commit(list(chosen)):
            raise PenumbraError("\n".join(faults.values()))
        for stage in chosen:
            print(f"recorded {stage.addressing}")
        if not chosen:
            print("Nothing to record: everything is as DVC recorded it.")


def same_meaning(path: Path, md5: str | None) -> bool:
    """Whether the file means what the version of it with that MD5 meant; False where git does not have that version."""
    old = _version(path, md5)
    return old is not None and path.exists() and meaning(old) == meaning(path.read_bytes())


def meaning(source: bytes) -> str:
    """The syntax tree without docstrings, as text."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def _version(path: Path, md5: str | None) -> bytes | None:
    revisions = subprocess.run(["git", "log", "--format=%H", "--", str(path)], capture_output=True, text=True).stdout.split()
    for revision in revisions:
        content = subprocess.run(["git", "show", f"{revision}:./{path}"], capture_output=True).stdout
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == md5:
            return content
    return None
