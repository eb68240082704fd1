"""dvc.yaml as DVC resolves it: the one source of what each stage reads, writes and depends on.

ablations/dvc.yaml holds the stages that only run when they are asked for; they belong to the same DAG.
"""

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penumbra.artifacts.files import replace
from penumbra.differences import expand
from penumbra.errors import PenumbraError
from penumbra.stage import Params, Stage

CONTRACT, ABLATIONS = Path("dvc.yaml"), Path("ablations/dvc.yaml")
PARAMETERS, ENVIRONMENT = Path("params.yaml"), Path("environment.yaml")
RESOLVED = Path(".penumbra/contract.json")


@dataclass(frozen=True)
class Entry:
    """One resolved stage of `file`. Paths are relative to the repository; `libraries` are names."""

    file: str
    step: str
    item: str | None
    data: tuple[str, ...]
    code: tuple[str, ...]
    outputs: tuple[str, ...]
    params: tuple[str, ...]
    libraries: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name in its file; no two files share one."""
        return f"{self.step}@{self.item}" if self.item else self.step

    @property
    def address(self) -> str:
        """What DVC calls it."""
        return self.name if self.file == CONTRACT.as_posix() else f"{self.file}:{self.name}"


class Contract:
    """All stages by name, in the order of their file; `parameters` is params.yaml."""

    def __init__(self, stages: dict[str, Entry], params: dict[str, Any], versions: dict[str, str]):
        self.stages = stages
        self.parameters = params
        self._versions = versions

    def entry(self, step: str, item: str | None = None) -> Entry:
        """The stage of that step and item.

        Raises:
            PenumbraError: there is no such stage.
        """
        name = f"{step}@{item}" if item else step
        if name not in self.stages:
            near = [other for other in self.stages if other.split("@")[0] == step] or list(self.stages)
            raise PenumbraError(f"dvc.yaml: there is no stage {name!r}. Choose one of: {', '.join(near)}.")
        return self.stages[name]

    def items(self, step: str) -> list[str]:
        """The items of a step."""
        return [entry.item for entry in self.stages.values() if entry.step == step and entry.item]

    def before(self, entry: Entry) -> list[Entry]:
        """The stages whose outputs a stage reads."""
        return [other for other in self.stages.values() if not set(other.outputs).isdisjoint(entry.data)]

    def params(self, entry: Entry) -> dict[str, Any]:
        """The declared parameters, nested as in params.yaml, `like` replaced by what it stands for.

        Raises:
            PenumbraError: a declared key does not exist.
        """
        nested: dict[str, Any] = {}
        for key in entry.params:
            *parents, leaf = key.split(".")
            source, target = self.parameters, nested
            try:
                for parent in parents:
                    source, target = source[parent], target.setdefault(parent, {})
                target[leaf] = source[leaf]
            except (KeyError, TypeError):
                raise PenumbraError(f"params.yaml: there is no {key}, which stage {entry.name} declares in dvc.yaml. Add it.") from None
        return expand(nested)

    def versions(self, entry: Entry) -> dict[str, str]:
        """Version of each library that the stage depends on, as environment.yaml says."""
        return {name: self._versions.get(name, "missing") for name in entry.libraries}

    def stage(self, step: str, item: str | None = None, part: tuple[int, int] | None = None) -> Stage:
        """What the step is given."""
        entry = self.entry(step, item)
        return Stage(
            step=step,
            item=item,
            params=Params(self.params(entry)),
            versions=self.versions(entry),
            reads={short_name(path): Path(path) for path in entry.data},
            writes={short_name(path): Path(path) for path in entry.outputs},
            part=part,
            code=tuple(Path(path) for path in entry.code),
        )

    # What rules/*.smk ask for. Functions of wildcards, because the items of a step differ; or of an item that is given.

    def data(self, step: str, item: str | None = None) -> Callable[[Any], list[str]]:
        """Input function: the data that a stage reads."""
        return lambda wildcards: list(self._of(step, item, wildcards).data)

    def code(self, step: str, item: str | None = None) -> Callable[[Any], list[str]]:
        """Input function: the source files that a stage imports."""
        return lambda wildcards: list(self._of(step, item, wildcards).code)

    def declared(self, step: str, item: str | None = None) -> Callable[[Any], dict[str, Any]]:
        """Params function: parameters and library versions that a stage depends on."""

        def declared(wildcards: Any) -> dict[str, Any]:
            entry = self._of(step, item, wildcards)
            values = {"params": self.params(entry), "versions": self.versions(entry)}
            return json.loads(json.dumps(values, sort_keys=True))  # Snakemake compares their text, and the order of keys means nothing

        return declared

    def outputs(self, step: str) -> list[str]:
        """Output pattern of a step, with {item} for the item."""
        entry = next(entry for entry in self.stages.values() if entry.step == step)
        return [path.replace(entry.item, "{item}") if entry.item else path for path in entry.outputs]

    def everything(self) -> list[str]:
        """All outputs of the stages that run without being asked for."""
        return [path for entry in self.standing() for path in entry.outputs]

    def standing(self) -> list[Entry]:
        """The stages of dvc.yaml itself."""
        return [entry for entry in self.stages.values() if entry.file == CONTRACT.as_posix()]

    def _of(self, step: str, item: str | None, wildcards: Any) -> Entry:
        return self.entry(step, item or getattr(wildcards, "item", None))


def short_name(path: str) -> str:
    """Path below data/ or reports/, without suffix."""
    name = path.removeprefix("data/").removeprefix("reports/")
    return name if Path(path).suffix == "" else str(Path(name).with_suffix(""))


@functools.cache
def load() -> Contract:
    """The contract of the repository in the working directory.

    DVC resolves dvc.yaml. What it found is kept beside the hash of the files that it depends on, so that each of the many
    processes of a run need not load DVC again.

    Raises:
        PenumbraError: dvc.yaml cannot be read.
    """
    key = hashlib.sha256(
        b"\0".join(path.read_bytes() if path.exists() else b"" for path in (CONTRACT, ABLATIONS, PARAMETERS, ENVIRONMENT, Path(__file__)))
    )
    kept = json.loads(RESOLVED.read_text(encoding="utf-8")) if RESOLVED.exists() else {}
    if kept.get("key") != key.hexdigest():
        kept = {"key": key.hexdigest(), "stages": _resolved(), "params": _yaml(PARAMETERS), "versions": _yaml(ENVIRONMENT)}
        with replace(RESOLVED) as temporary:
            temporary.write_text(json.dumps(kept), encoding="utf-8")
    entries = [
        Entry(**{name: tuple(value) if isinstance(value, list) else value for name, value in each.items()}) for each in kept["stages"]
    ]
    return Contract({entry.name: entry for entry in entries}, kept["params"], kept["versions"])


def _resolved() -> list[dict[str, Any]]:
    from dvc.exceptions import DvcException

    from penumbra.workflow.repository import opened

    try:
        with opened() as repo:
            found = [_entry(stage, repo.root_dir) for stage in repo.index.stages if stage.addressing]
            return [asdict(entry) for entry in sorted(found, key=lambda entry: entry.file != CONTRACT.as_posix())]
    except DvcException as error:
        raise PenumbraError(f"dvc.yaml: {' '.join(str(error).split())}") from error


def _entry(stage: Any, root: str) -> Entry:
    step, _, item = stage.name.partition("@")
    files = dict.fromkeys(Path(dep.fs_path).relative_to(root).as_posix() for dep in stage.deps if not hasattr(dep, "params"))
    keys = {Path(dep.fs_path).name: list(dep.params) for dep in stage.deps if hasattr(dep, "params")}
    return Entry(
        file=Path(stage.path).relative_to(root).as_posix(),
        step=step,
        item=item or None,
        data=tuple(path for path in files if not path.startswith("src/")),
        code=tuple(path for path in files if path.startswith("src/")),
        outputs=tuple(Path(out.fs_path).relative_to(root).as_posix() for out in stage.outs),
        params=tuple(keys.get(PARAMETERS.name, ())),
        libraries=tuple(sorted(keys.get(ENVIRONMENT.name, ()))),
    )


def _yaml(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(path.read_text(encoding="utf-8")) if path.exists() else {}
