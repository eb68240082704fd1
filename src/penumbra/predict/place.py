"""Where a detector lies that somebody asks for. Reading this module imports neither numpy nor torch."""

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from penumbra.errors import PenumbraError
from penumbra.experiment.load import validate
from penumbra.experiment.schema import Experiment
from penumbra.predict import folder
from penumbra.predict.folder import Folder

PARAMS = "params.yaml"


@dataclass(frozen=True)
class Place:
    """A detector of an experiment.

    Attributes:
        root: of the repository, where params.yaml is.
        name: of the detector in train.detectors.
        experiment: what params.yaml says.
    """

    root: Path
    name: str
    experiment: Experiment

    @property
    def kernels(self) -> str:
        """Those that the experiment computes with."""
        return self.experiment.common.kernels

    def data(self, path: str) -> Path:
        """A file or folder below data/.

        Raises:
            PenumbraError: it is not there; names the command that makes it.
        """
        found = self.root / "data" / path
        if not found.exists():
            raise PenumbraError(f"{found}: is not there yet. Run `penumbra repro infer@{self.name}` to make it.")
        return found


def locate(detector: str | os.PathLike) -> Place | Folder:
    """The place of a detector.

    Args:
        detector: its name in params.yaml of the working directory; or the path of its folder: ROOT/data/detectors/NAME, or one that
            `penumbra export` wrote.

    Raises:
        PenumbraError: there is no such detector; names the nearest.
    """
    text, path = os.fspath(detector), Path(os.path.abspath(detector))
    if os.sep not in text and Path(PARAMS).exists():
        experiment = validate(PARAMS)
        if text in experiment.train.detectors or not _exported(path):
            return _named(Path(), text, experiment)
    if _exported(path):
        return folder.read(path)
    if path.parts[-3:-1] == ("data", "detectors"):
        root = path.parents[2]
        return _named(root, path.name, validate(root / PARAMS))
    problem = f"it holds no {folder.CONFIG}" if path.is_dir() else "it does not exist"
    raise PenumbraError(
        f"{text}: is no folder of a detector: {problem}. Give a name where {PARAMS} is, or the path of ROOT/data/detectors/NAME or of an "
        "exported detector."
    )


def _exported(path: Path) -> bool:
    return (path / folder.CONFIG).exists()


def _named(root: Path, name: str, experiment: Experiment) -> Place:
    names = list(experiment.train.detectors)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        remedy = f"Did you mean {near[0]}?" if near else f"Choose one of: {', '.join(names)}."
        raise PenumbraError(f"{root / PARAMS}: there is no detector {name!r} in train.detectors. {remedy}")
    return Place(root, name, experiment)
