"""What a step is given: the files and parameters that its stage declares in dvc.yaml, and nothing else."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penumbra.errors import PenumbraError


class Params:
    """Declared parameters by attribute and by item: sections of the schema's types below the names of params.yaml.

    A key that the stage does not declare does not exist here.
    """

    def __init__(self, content: Mapping[str, Any], where: str = ""):
        self._content = {key: Params(value, f"{where}{key}.") if isinstance(value, Mapping) else value for key, value in content.items()}
        self._where = where

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):  # asked by copy and pickle
            raise AttributeError(key)
        return self[key]

    def __getitem__(self, key: str) -> Any:
        if key not in self._content:
            raise PenumbraError(f"params.yaml: {self._where}{key} is read but this stage does not declare it in dvc.yaml.")
        return self._content[key]

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and values; of sections that are mappings of names."""
        return self._content.items()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Params) and self.plain() == other.plain()

    __hash__ = None

    def beside(self, **more: Mapping[str, Any]) -> "Params":
        """These and more, which are put into the sections of the same names."""
        return Params(_joined(self._content, more))

    def plain(self) -> dict[str, Any]:
        """Nested dictionaries, lists and numbers."""
        return {key: _plain(value) for key, value in self._content.items()}


def _joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    joined = {key: dict(value._content) if isinstance(value, Params) else value for key, value in first.items()}
    for key, value in second.items():
        both = isinstance(value, Mapping) and isinstance(joined.get(key), Mapping)
        joined[key] = _joined(joined[key], value) if both else value
    return joined


def _plain(value: Any) -> Any:
    if isinstance(value, Params):
        return value.plain()
    return value.model_dump() if hasattr(value, "model_dump") else value


@dataclass(frozen=True)
class Stage:
    """One stage of the DAG as its step sees it.

    Attributes:
        step: the verb ("train").
        item: what of it ("badood-mid"), or None.
        params: declared parameters, nested as in params.yaml; methods, recipes and presets without the kind they stand under.
        versions: version of each library that the stage depends on.
        code: digest of what its program means.
        reads: declared inputs by name; the name is the path below data/ (or reports/) without suffix ("images/train").
        writes: declared outputs by the same kind of name.
        scratch_root: undeclared folder for the finished blocks of an unfinished job.
        part: (index, count) if this process does one part of the blocks; None does what is left and assembles.
    """

    step: str
    item: str | None
    params: Params
    versions: dict[str, str] = field(default_factory=dict)
    reads: dict[str, Path] = field(default_factory=dict)
    writes: dict[str, Path] = field(default_factory=dict)
    scratch_root: Path = Path(".penumbra/scratch")
    part: tuple[int, int] | None = None
    code: str = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.step}@{self.item}" if self.item else self.step

    @property
    def provenance(self) -> dict:
        """How the stage's artifacts are made; every artifact carries it."""
        return {"stage": self.name, "params": self.params.plain(), "versions": self.versions}

    def read(self, name: str) -> Path:
        """The input of that name; a folder name ("outliers") stands for its only file."""
        return self._find(self.reads, name, "reads")

    def write(self, name: str = "") -> Path:
        """The output of that name; without a name, the only output."""
        return self._find(self.writes, name, "writes")

    def within(self, folder: str, names: Iterable[str], suffix: str = ".parquet") -> dict[str, Path]:
        """Files of an input folder by name: those of `names` that lie there. What else lies there is of no stage any more."""
        paths = {name: self.read(folder) / f"{name}{suffix}" for name in names}
        return {name: path for name, path in paths.items() if path.exists()}

    def _find(self, paths: dict[str, Path], name: str, verb: str) -> Path:
        found = [path for key, path in paths.items() if key == name or key.startswith(f"{name}/") or not name]
        if name in paths:
            found = [paths[name]]
        if len(found) != 1:
            raise PenumbraError(f"dvc.yaml: stage {self.name} {verb} {len(found)} files named {name!r}; it declares {sorted(paths)}.")
        return found[0]

    @property
    def scratch(self) -> Path:
        """Folder for finished blocks (`blocks.py`), keyed by the content of everything that determines them."""
        if "scratch" not in self.__dict__:
            made_by = json.dumps([self.provenance, self.code], sort_keys=True)
            digest = hashlib.blake2b(made_by.encode(), digest_size=16)
            for path in sorted(set(self.reads.values())):
                for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                    if file.is_file():
                        with open(file, "rb") as handle:
                            digest.update(f"{file}".encode() + hashlib.file_digest(handle, "blake2b").digest())
            folder = self.scratch_root / self.name / digest.hexdigest()
            folder.mkdir(parents=True, exist_ok=True)
            self.__dict__["scratch"] = folder
        return self.__dict__["scratch"]

    def todo(self, blocks: Iterable[str]) -> list[str]:
        """The blocks (file names in `scratch`) of this part that are not finished."""
        index, count = self.part or (0, 1)
        return [block for block in list(blocks)[index::count] if not (self.scratch / block).exists()]

    def finish(self) -> None:
        """Forget the scratch folder: the outputs are in place."""
        shutil.rmtree(self.scratch_root / self.name, ignore_errors=True)
