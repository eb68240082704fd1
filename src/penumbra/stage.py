"""What a step is given: the files and parameters that its stage declares in dvc.yaml, and nothing else."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penumbra.errors import PenumbraError


class Params(dict):
    """Nested parameters with attribute access. A key that the stage does not declare does not exist here."""

    def __init__(self, content: dict, where: str = ""):
        super().__init__({key: Params(value, f"{where}{key}.") if isinstance(value, dict) else value for key, value in content.items()})
        self._where = where

    def __getattr__(self, key: str) -> Any:
        return self[key]

    def __missing__(self, key: str) -> Any:
        raise PenumbraError(f"params.yaml: {self._where}{key} is read but this stage does not declare it in dvc.yaml.")


@dataclass(frozen=True)
class Stage:
    """One stage of the DAG as its step sees it.

    Attributes:
        step: the verb ("train").
        item: the matrix item ("badood-mid"), or None.
        params: declared parameters, nested as in params.yaml.
        versions: version of each library that the stage depends on.
        reads: declared inputs by name; the name is the path below data/ (or reports/) without suffix ("images/train").
        writes: declared outputs by the same kind of name.
        scratch_root: undeclared folder for the finished units of an unfinished job.
        part: (index, count) if this process does one part of the units; None does what is left and assembles.
    """

    step: str
    item: str | None
    params: Params
    versions: dict[str, str] = field(default_factory=dict)
    reads: dict[str, Path] = field(default_factory=dict)
    writes: dict[str, Path] = field(default_factory=dict)
    scratch_root: Path = Path(".penumbra/scratch")
    part: tuple[int, int] | None = None
    code: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """The DVC name of the stage."""
        return f"{self.step}@{self.item}" if self.item else self.step

    @property
    def provenance(self) -> dict:
        """How the stage's artifacts are made; every artifact carries it."""
        return {"stage": self.name, "params": self.params, "versions": self.versions}

    def read(self, name: str) -> Path:
        """The input of that name; a folder name ("outliers") stands for its only file."""
        return self._find(self.reads, name, "reads")

    def write(self, name: str = "") -> Path:
        """The output of that name; without a name, the only output."""
        return self._find(self.writes, name, "writes")

    def one_of(self, start: str, but: str = "") -> str | None:
        """The name of the input that begins with `start` and is not `but`; None if there is none.

        Raises:
            PenumbraError: there are several.
        """
        names = [name for name in self.reads if name.startswith(start) and name != but]
        if len(names) > 1:
            raise PenumbraError(f"dvc.yaml: stage {self.name} must read one file of data/{start}*, not {', '.join(sorted(names))}.")
        return names[0] if names else None

    def must_read(self, name: str, given: bool, needed: bool, since: str) -> None:
        """Check that the stage reads what its parameters ask for, and nothing that none of them does.

        Raises:
            PenumbraError: an input is missing, or nothing would look at it.
        """
        if given != needed:
            raise PenumbraError(f"dvc.yaml: stage {self.name} {'must' if needed else 'must not'} read data/{name}, since {since}.")

    def _find(self, paths: dict[str, Path], name: str, verb: str) -> Path:
        found = [path for key, path in paths.items() if key == name or key.startswith(f"{name}/") or not name]
        if len(found) != 1:
            raise PenumbraError(f"dvc.yaml: stage {self.name} {verb} {len(found)} files named {name!r}; it declares {sorted(paths)}.")
        return found[0]

    @property
    def scratch(self) -> Path:
        """Folder for finished units, keyed by the content of everything that determines them."""
        if "scratch" not in self.__dict__:
            digest = hashlib.blake2b(json.dumps(self.provenance, sort_keys=True).encode(), digest_size=16)
            for path in sorted({*self.reads.values(), *self.code}):
                for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                    if file.is_file():
                        with open(file, "rb") as handle:
                            digest.update(f"{file}".encode() + hashlib.file_digest(handle, "blake2b").digest())
            folder = self.scratch_root / self.name / digest.hexdigest()
            folder.mkdir(parents=True, exist_ok=True)
            self.__dict__["scratch"] = folder
        return self.__dict__["scratch"]

    def todo(self, units: Iterable[str]) -> list[str]:
        """The units (file names in `scratch`) of this part that are not finished."""
        index, count = self.part or (0, 1)
        return [unit for unit in list(units)[index::count] if not (self.scratch / unit).exists()]

    def finish(self) -> None:
        """Forget the scratch folder: the outputs are in place."""
        shutil.rmtree(self.scratch_root / self.name, ignore_errors=True)
