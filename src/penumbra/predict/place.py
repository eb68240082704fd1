"""Where a detector lies that somebody asks for. Reading this module imports neither numpy nor torch."""

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from penumbra.errors import PenumbraError
from penumbra.experiment.load import validate
from penumbra.experiment.schema import Experiment


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

    def data(self, path: str) -> Path:
        """A file or folder below data/.

        Raises:
            PenumbraError: it is not there; names the command that makes it.
        """
        found = self.root / "data" / path
        if not found.exists():
            raise PenumbraError(f"{found}: is not there yet. Run `penumbra repro infer@{self.name}` to make it.")
        return found


def locate(detector: str | os.PathLike) -> Place:
    """The place of a detector.

    Args:
        detector: its name in params.yaml of the working directory; or the path of its folder, ROOT/data/detectors/NAME.

    Raises:
        PenumbraError: there is no params.yaml, or it knows no such detector; names the nearest.
    """
    text = os.fspath(detector)
    root, name = Path(), text
    if os.sep in text:
        folder = Path(os.path.abspath(text))
        if folder.parts[-3:-1] != ("data", "detectors"):
            raise PenumbraError(f"{text}: is no folder of a detector. Give its name, or ROOT/data/detectors/NAME.")
        root, name = folder.parents[2], folder.name
    experiment = validate(root / "params.yaml")
    names = list(experiment.train.detectors)
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        remedy = f"Did you mean {near[0]}?" if near else f"Choose one of: {', '.join(names)}."
        raise PenumbraError(f"{root / 'params.yaml'}: there is no detector {name!r} in train.detectors. {remedy}")
    return Place(root, name, experiment)
